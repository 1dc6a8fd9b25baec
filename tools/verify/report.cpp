#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "inspect/table.h"
#include "program.h"
#include "verify/verify.h"

namespace qhx::verify {
namespace {

using nlohmann::ordered_json;

std::string format(const char* pattern, double value) {
  char text[48];
  std::snprintf(text, sizeof text, pattern, value);
  return text;
}

const char* word(Greedy greedy) {
  switch (greedy) {
    case Greedy::kNone:
      return "";
    case Greedy::kEqual:
      return "equal";
    case Greedy::kBlur:
      return "within blur";
    case Greedy::kDifferent:
      return "different";
  }
  return "";
}

std::string tokens(const Row& row) {
  if (row.greedy == Greedy::kNone || row.greedy == Greedy::kEqual) return word(row.greedy);
  return std::string(word(row.greedy)) + ": " + std::to_string(row.found_id) + " for " +
         std::to_string(row.expected_id) + ", gap " + format("%.4f", row.gap) + ", blur " +
         format("%.4f", row.blur);
}

ordered_json number(double value) { return std::isfinite(value) ? ordered_json(value) : nullptr; }

ordered_json row_json(const Row& row) {
  ordered_json out = {{"stage", row.stage},
                      {"values", row.count},
                      {"compared", row.compared},
                      {"cosine", row.figures ? number(row.figures->cosine) : nullptr},
                      {"max_error", row.figures ? number(row.figures->max_error) : nullptr},
                      {"threshold", row.threshold ? ordered_json(*row.threshold) : nullptr},
                      {"ok", row.ok}};
  if (row.greedy != Greedy::kNone) {
    out["greedy"] = word(row.greedy);
    out["expected_id"] = row.expected_id;
    out["found_id"] = row.found_id;
    out["gap"] = number(row.gap);
    out["blur"] = number(row.blur);
  }
  if (!row.ok) out["why"] = row.why;
  return out;
}

std::string verdict_text(const Verdict& verdict) {
  inspect::Table table({{"stage"},
                        {"values", true},
                        {"compared", true},
                        {"cosine", true},
                        {"max error", true},
                        {"at least", true},
                        {"greedy token"},
                        {"verdict"}});
  for (const Row& row : verdict.rows) {
    table.add({row.stage, std::to_string(row.count), std::to_string(row.compared),
               row.figures ? format("%.8f", row.figures->cosine) : "-",
               row.figures ? format("%.3g", row.figures->max_error) : "-",
               row.threshold ? format("%.6g", *row.threshold) : "-", tokens(row),
               row.ok ? "ok" : "FAILED: " + row.why});
  }
  return "against " + tools::one_line(verdict.judge) + "\n" + table.to_text("  ") +
         "  greedy tokens: " + std::to_string(verdict.greedy_equal) + " of " +
         std::to_string(verdict.greedy_steps) + " equal, " + std::to_string(verdict.greedy_blur) +
         " within blur\n\n";
}

}  // namespace

bool Report::ok() const {
  for (const Verdict& verdict : verdicts) {
    if (!verdict.ok()) return false;
  }
  return !verdicts.empty();
}

std::string to_text(const Report& report) {
  std::string text = report.manifest + " on " + tools::one_line(report.library) + ", " +
                     report.source + "\n" + (report.picture ? "a picture and " : "") + "\"" +
                     tools::one_line(report.prompt) + "\" (" +
                     std::to_string(report.prompt_tokens) + " tokens): \"" +
                     tools::one_line(report.text) + "\"\n\n";
  for (const Verdict& verdict : report.verdicts) text += verdict_text(verdict);
  if (!report.written.empty()) text += "written: " + report.written + "\n";
  return text + (report.ok() ? "verified\n" : "NOT verified\n");
}

std::string to_json(const Report& report) {
  ordered_json out = {{"ok", report.ok()},
                      {"manifest", report.manifest},
                      {"library", report.library},
                      {"source", report.source},
                      {"picture", report.picture},
                      {"prompt", report.prompt},
                      {"prompt_tokens", report.prompt_tokens},
                      {"answer", report.text},
                      {"written", !report.written.empty()},
                      {"judges", ordered_json::array()}};
  for (const Verdict& verdict : report.verdicts) {
    ordered_json judge = {{"name", verdict.judge},
                          {"ok", verdict.ok()},
                          {"greedy_equal", verdict.greedy_equal},
                          {"greedy_within_blur", verdict.greedy_blur},
                          {"greedy_steps", verdict.greedy_steps},
                          {"stages", ordered_json::array()}};
    for (const Row& row : verdict.rows) judge["stages"].push_back(row_json(row));
    out["judges"].push_back(std::move(judge));
  }
  return out.dump(2, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace qhx::verify
