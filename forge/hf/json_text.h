// JSON from outside as a value: no exceptions, no key given twice, no deep nesting. Private to this
// folder.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/status.h"

namespace qhx::hf {

// kCorrupt with the place of the error, or with the key that an object has twice.
Result<nlohmann::json> parse_json(std::string_view text);

// The value as text for a message, cut after a hundred characters.
std::string short_dump(const nlohmann::json& value);

}  // namespace qhx::hf
