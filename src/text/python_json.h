// JSON as Python's json module reads and writes it: chat templates print tools and arguments with
// `tojson`, which is json.dumps(value, ensure_ascii=False), and a model must see the very spelling
// that it was trained on.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "text/json_tree.h"

namespace qhx::text {

// Whole numbers of any length are kept (those beyond 64 bits as binary values that hold the
// digits). kInvalidArgument for what is no JSON.
Result<Json> parse_python_json(std::string_view text);

// ", " and ": " between items, keys in their order, non-ASCII as it is, floats as Python's repr().
std::string python_dumps(const Json& value);

}  // namespace qhx::text
