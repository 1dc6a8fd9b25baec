// Messages to the client's log callback. Without one they are dropped: a library does not print.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "qnn/abi/qnn_types.h"

namespace qhx::cpu::abi {

// Thread-safe as far as the client's callback is.
class Logger {
 public:
  Logger(QnnLog_Callback_t callback, QnnLog_Level_t level) : callback_(callback), level_(level) {}

  void set_level(QnnLog_Level_t level) { level_ = level; }
  void log(QnnLog_Level_t level, const std::string& message) const;
  void error(const std::string& message) const { log(QNN_LOG_LEVEL_ERROR, message); }

 private:
  QnnLog_Callback_t callback_;
  std::atomic<QnnLog_Level_t> level_;
};

using SharedLogger = std::shared_ptr<Logger>;

}  // namespace qhx::cpu::abi
