#include "qnn/operation_ids.h"

#include <charconv>

namespace qhx::qnn {
namespace {

constexpr std::string_view kOperation = "Validating Native Op ";
constexpr std::string_view kNumber = "used as output with hexagon_nn_input[";

// What follows `marker`; empty if the line has none.
std::string_view after(std::string_view line, std::string_view marker) {
  const std::size_t at = line.find(marker);
  return at == std::string_view::npos ? std::string_view() : line.substr(at + marker.size());
}

}  // namespace

void OperationIds::read_log_line(std::string_view line) {
  if (const std::string_view name = after(line, kOperation); !name.empty()) {
    current_ = name.substr(0, name.find(':'));
    return;
  }
  const std::string_view number = after(line, kNumber);
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), id);
  if (error == std::errc() && !current_.empty()) names_[id] = current_;
}

}  // namespace qhx::qnn
