#include "base/status.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace qhx {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken contract: %s\n", file, line, condition);
  std::abort();
}

std::string_view status_code_name(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "Ok";
    case StatusCode::kInternal:
      return "Internal";
    case StatusCode::kInvalidArgument:
      return "InvalidArgument";
    case StatusCode::kNotFound:
      return "NotFound";
    case StatusCode::kIo:
      return "Io";
    case StatusCode::kCorrupt:
      return "Corrupt";
    case StatusCode::kUnsupported:
      return "Unsupported";
    case StatusCode::kOutOfRange:
      return "OutOfRange";
    case StatusCode::kBackend:
      return "Backend";
    case StatusCode::kCancelled:
      return "Cancelled";
  }
  return "Unknown";
}

Status Status::with_context(std::string_view where) const& {
  return Status(*this).with_context(where);
}

Status Status::with_context(std::string_view where) && {
  if (!ok()) message_.insert(0, std::string(where) + ": ");
  return std::move(*this);
}

std::ostream& operator<<(std::ostream& out, const Status& status) {
  return out << status_code_name(status.code()) << ": " << status.message();
}

Status internal_error(std::string message) { return {StatusCode::kInternal, std::move(message)}; }
Status invalid_argument(std::string message) {
  return {StatusCode::kInvalidArgument, std::move(message)};
}
Status not_found(std::string message) { return {StatusCode::kNotFound, std::move(message)}; }
Status io_error(std::string message) { return {StatusCode::kIo, std::move(message)}; }
Status corrupt(std::string message) { return {StatusCode::kCorrupt, std::move(message)}; }
Status unsupported(std::string message) { return {StatusCode::kUnsupported, std::move(message)}; }
Status out_of_range(std::string message) { return {StatusCode::kOutOfRange, std::move(message)}; }
Status backend_error(std::string message) { return {StatusCode::kBackend, std::move(message)}; }
Status cancelled(std::string message) { return {StatusCode::kCancelled, std::move(message)}; }

Status errno_error(std::string message) {
  const int error = errno;
  const auto code = error == ENOENT ? StatusCode::kNotFound : StatusCode::kIo;
  return {code, std::move(message) + ": " + std::generic_category().message(error)};
}

}  // namespace qhx
