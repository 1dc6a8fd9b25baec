#include <cstdio>
#include <nlohmann/json.hpp>

#include "tune/tune.h"

namespace qhx::tune {
namespace {

using nlohmann::ordered_json;

template <class... A>
std::string format(const char* pattern, A... arguments) {
  char line[256];
  std::snprintf(line, sizeof(line), pattern, arguments...);
  return line;
}

}  // namespace

std::string to_text(const Report& report) {
  std::string text = report.manifest + " on " + report.library + ", " +
                     std::to_string(report.pictures) + " pictures, " +
                     std::to_string(report.texts) + " texts\n";
  if (!report.why_not.empty()) return text + report.why_not + "\n";
  text += format("at least %.4f of the cosine with 16 bits, in every stage\n\n", kLeastCosine);
  text += "  context  activations  worst stage     least cosine  to be expected\n";
  for (const Attempt& a : report.attempts) {
    text += format("  %-8s %-12s %-15s %.8f    %.8f  %s\n", a.role.c_str(), a.form.c_str(),
                   a.stage.c_str(), a.least, a.expected, a.ok() ? "good" : "too rough");
  }
  for (const Choice& choice : report.choices) {
    text += "\n" + choice.role + ": " + choice.name();
  }
  for (const std::string& file : report.written) text += "\nwritten: " + file;
  return text + "\n";
}

std::string to_json(const Report& report) {
  ordered_json json{{"manifest", report.manifest},       {"library", report.library},
                    {"pictures", report.pictures},       {"texts", report.texts},
                    {"least_cosine", kLeastCosine},      {"attempts", ordered_json::array()},
                    {"choices", ordered_json::object()}, {"written", report.written}};
  for (const Attempt& a : report.attempts) {
    json["attempts"].push_back({{"context", a.role},
                                {"activations", a.form},
                                {"stage", a.stage},
                                {"cosine", a.least},
                                {"expected", a.expected},
                                {"ok", a.ok()}});
  }
  for (const Choice& choice : report.choices) json["choices"][choice.role] = choice.name();
  if (!report.why_not.empty()) json["why_not"] = report.why_not;
  return json.dump(2) + "\n";
}

}  // namespace qhx::tune
