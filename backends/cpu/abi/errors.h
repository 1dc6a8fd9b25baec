// Error codes of the C interface and what they mean in words.
#pragma once

#include "base/status.h"
#include "qnn/abi/qnn_types.h"

namespace qhx::cpu::abi {

// Codes of ours beside those that qnn_types.h names.
inline constexpr Qnn_ErrorHandle_t kInternalError = 1003;
inline constexpr Qnn_ErrorHandle_t kInvalidHandle =
    1004;  // also the interface's "invalid argument"
inline constexpr Qnn_ErrorHandle_t kGraphExecuteFailed = 6010;
inline constexpr Qnn_ErrorHandle_t kGraphFinalizeFailed = 6011;

// A sentence for each code that this library returns; null for others.
const char* error_message(Qnn_ErrorHandle_t error);

}  // namespace qhx::cpu::abi
