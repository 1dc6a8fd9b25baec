// The exception barrier: nothing is thrown across the C interface.
#pragma once

#include <new>

#include "abi/errors.h"

namespace qhx::cpu::abi {

// body() returns an error code.
template <typename Body>
Qnn_ErrorHandle_t guarded(Body&& body) noexcept {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return QNN_COMMON_ERROR_MEM_ALLOC;
  } catch (...) {
    return kInternalError;
  }
}

}  // namespace qhx::cpu::abi
