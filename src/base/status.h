// Errors of everything that can go wrong outside the program: input, files, devices.
//
// A Status is a code and a sentence for a person: it names the thing, what was expected, what was
// found and, where it helps, what to do next. Result<T> is a T or such a Status. Context is added
// on the way up, never logged on the way down. A broken contract between two pieces of our own code
// is not a Status but QHX_CHECK (base/check.h).
#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace qhx {

// Each code is also the exit code of the command-line tools; docs/cli.md lists them.
enum class StatusCode : int {
  kOk = 0,
  kInternal = 1,         // a defect of ours
  kInvalidArgument = 2,  // the caller's own words: flags, option values, tensor arguments
  kNotFound = 3,         // a file, graph, tensor or symbol that should be there is not
  kIo = 4,               // the operating system refused to read, write, map or allocate
  kCorrupt = 5,          // bytes that contradict their format, checksum or each other
  kUnsupported = 6,      // well-formed, but not something this build can do
  kOutOfRange = 7,       // does not fit: prompt and context, picture and limits
  kBackend = 8,          // a QNN library returned an error
  kCancelled = 9,        // stopped on request
};

// "Corrupt", "NotFound" …: stable names for logs and machines.
std::string_view status_code_name(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error seen from one level up: "where: message". Success stays as it is.
  Status with_context(std::string_view where) const&;
  Status with_context(std::string_view where) &&;

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

std::ostream& operator<<(std::ostream& out, const Status& status);

Status internal_error(std::string message);
Status invalid_argument(std::string message);
Status not_found(std::string message);
Status io_error(std::string message);
// The message followed by the operating system's word for the current errno.
Status errno_error(std::string message);
Status corrupt(std::string message);
Status unsupported(std::string message);
Status out_of_range(std::string message);
Status backend_error(std::string message);
Status cancelled(std::string message);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value)
      : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor): return value;
  Result(Status status) : status_(std::move(status)) {  // NOLINT(google-explicit-constructor)
    QHX_CHECK(!status_.ok());
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // The value; QHX_CHECK fails if there is none.
  T& value() & {
    QHX_CHECK(ok());
    return *value_;
  }
  const T& value() const& {
    QHX_CHECK(ok());
    return *value_;
  }
  T&& value() && {
    QHX_CHECK(ok());
    return *std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Result with_context(std::string_view where) && {
    if (ok()) return std::move(*this);
    return std::move(status_).with_context(where);
  }

 private:
  Status status_;
  std::optional<T> value_;
};

}  // namespace qhx

#define QHX_CONCAT_IMPL(a, b) a##b
#define QHX_CONCAT(a, b) QHX_CONCAT_IMPL(a, b)

// Leaves the function with the error of `expr` (a Status), if it is one.
#define QHX_RETURN_IF_ERROR(expr)              \
  do {                                         \
    ::qhx::Status qhx_status_ = (expr);        \
    if (!qhx_status_.ok()) return qhx_status_; \
  } while (false)

// QHX_ASSIGN_OR_RETURN(auto file, open(path)): the value of a Result, or leave with its error.
#define QHX_ASSIGN_OR_RETURN(decl, expr) \
  QHX_ASSIGN_OR_RETURN_IMPL(QHX_CONCAT(qhx_result_, __LINE__), decl, expr)
#define QHX_ASSIGN_OR_RETURN_IMPL(tmp, decl, expr) \
  auto tmp = (expr);                               \
  if (!tmp.ok()) return tmp.status();              \
  decl = std::move(tmp).value()
