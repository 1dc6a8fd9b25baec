// QNN error codes in words.
#pragma once

#include <string_view>

#include "base/status.h"
#include "qnn/abi/qnn_types.h"

namespace qhx::qnn {

// What a code means and what to do about it, as far as is known; empty for a code nobody has met.
std::string_view explain_error(Qnn_ErrorHandle_t code);

// Success for QNN_SUCCESS; otherwise kBackend (kCorrupt for a damaged context binary) with `what`,
// the code in decimal and hexadecimal, its meaning, and the last error lines of the library's log.
Status check(Qnn_ErrorHandle_t code, std::string_view what);

}  // namespace qhx::qnn
