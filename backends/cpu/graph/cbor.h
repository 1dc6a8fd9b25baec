// CBOR into JSON values with limits on depth, so that a hostile file cannot exhaust the stack.
#pragma once

#include <nlohmann/json.hpp>
#include <span>

#include "base/status.h"

namespace qhx::cpu {

// kCorrupt if the bytes are not one CBOR value, or nest deeper than 16.
Result<nlohmann::json> parse_cbor(std::span<const std::byte> bytes);

}  // namespace qhx::cpu
