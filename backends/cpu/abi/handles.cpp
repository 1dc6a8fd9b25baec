#include "abi/handles.h"

namespace qhx::cpu::abi {

// Never destroyed: a client may free handles while the process exits.
Tables& tables() {
  static auto* const kTables = new Tables;
  return *kTables;
}

SharedLogger logger_of(Qnn_LogHandle_t handle) {
  if (SharedLogger logger = tables().logs.find(handle)) return logger;
  static const auto kSilent = std::make_shared<Logger>(nullptr, QNN_LOG_LEVEL_ERROR);
  return kSilent;
}

}  // namespace qhx::cpu::abi
