#include <nlohmann/json.hpp>

#include "forge/bundle/worker_process.h"

namespace qhx::forge {

using nlohmann::json;

std::string print_report(const WorkerReport& report) {
  json line;
  switch (report.kind) {
    case WorkerReport::Kind::kAdvance:
      line = {{"advance", report.amount}};
      break;
    case WorkerReport::Kind::kDone:
      line = {{"done", report.peak_bytes}};
      break;
    case WorkerReport::Kind::kError:
      line = {{"error", static_cast<int>(report.error.code())},
              {"message", report.error.message()}};
      break;
  }
  // Messages repeat file names, which may be any bytes.
  return line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

Result<WorkerReport> parse_report(std::string_view text) {
  const json line = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto number = [&](const char* key) {
    return line.is_object() && line.contains(key) && line[key].is_number();
  };
  WorkerReport report;
  if (number("advance")) {
    report.amount = line["advance"].get<double>();
    return report;
  }
  if (number("done")) {
    report.kind = WorkerReport::Kind::kDone;
    report.peak_bytes = line["done"].get<std::uint64_t>();
    return report;
  }
  if (number("error") && line.contains("message") && line["message"].is_string()) {
    const int code = line["error"].get<int>();
    const bool known = code > 0 && code <= static_cast<int>(StatusCode::kCancelled);
    report.kind = WorkerReport::Kind::kError;
    report.error = Status(known ? static_cast<StatusCode>(code) : StatusCode::kInternal,
                          line["message"].get<std::string>());
    return report;
  }
  return corrupt("worker: a report that is none: " + std::string(text.substr(0, 200)));
}

}  // namespace qhx::forge
