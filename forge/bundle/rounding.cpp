#include "forge/bundle/rounding.h"

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "forge/bundle/contexts.h"
#include "forge/bundle/output_folder.h"
#include "forge/quant/rounded_weights.h"
#include "forge/rounding/choose_formats.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

const std::string kErrorsFile = std::string(kNotePrefix) + "rounding.json";

fs::path rounded_file(const ForgeOptions& options, const fs::path& folder) {
  return folder / (options.keep_rounded ? kRoundedFile : std::string(kNotePrefix) + kRoundedFile);
}

// Four significant digits: these are for people.
double rounded(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return std::strtod(text, nullptr);
}

// Which format each matrix has, and how large all of the text's are together. Those that have no
// groups keep int8.
Status add_formats(const std::vector<RoundingErrors>& errors, const ForgeOptions& options,
                   const hf::ModelConfig& config, ordered_json& json) {
  const ContextWeights weights(config);
  double elements = 0, rest = weights.text + weights.head;
  for (const RoundingErrors& each : errors) elements += static_cast<double>(each.elements);
  rest -= elements;
  double bytes = stored_bytes(ContextKind::kText, config, options.weights) +
                 stored_bytes(ContextKind::kHead, config, options.weights);
  if (options.budget) {
    const WeightBudget& budget = *options.budget;
    const double room = budget.bits > 0 ? budget.bits / 8 * (elements + rest) : budget.bytes;
    const double fixed = rest * quant::bits_per_weight(WeightFormat::kW8) / 8;
    QHX_ASSIGN_OR_RETURN(const FormatChoice choice, choose_formats(errors, room - fixed));
    bytes = fixed;
    for (const RoundingErrors& each : errors) {
      const WeightFormat format = choice.at(each.tensor);
      bytes += stored_bytes(each, format);
      json["formats"][each.tensor] = name(format);
    }
  }
  json["text_bytes"] = static_cast<std::uint64_t>(bytes);
  json["bits_per_weight"] = rounded(bytes * 8 / (elements + rest));
  return {};
}

ordered_json describe(const std::vector<RoundingErrors>& errors, const std::string& inputs) {
  ordered_json json{{"inputs", inputs}, {"errors", ordered_json::object()}};
  for (const RoundingErrors& each : errors) {
    json["errors"][each.tensor] = {{"compensated", rounded(each.compensated)},
                                   {"nearest", rounded(each.nearest)},
                                   {"int8", rounded(each.int8)}};
  }
  return json;
}

}  // namespace

Result<ordered_json> round_weights(const ForgeOptions& options, const hf::ModelConfig& config,
                                   const hf::Checkpoint& checkpoint, const CalibrationSet& set,
                                   const fs::path& folder, ThreadPool& pool,
                                   const RoundingProgress& progress) {
  // The note is written last, so where it is the weights are.
  if (const auto text = read_file(folder / kErrorsFile); text.ok()) {
    ordered_json record = ordered_json::parse(*text, nullptr, /*allow_exceptions=*/false);
    if (!record.is_discarded()) return record;
  }
  QHX_ASSIGN_OR_RETURN(const std::vector<RoundingErrors> errors,
                       round_model(checkpoint, config, options.weights, set,
                                   rounded_file(options, folder), pool, progress));
  ordered_json record = describe(errors, set.description);
  QHX_RETURN_IF_ERROR(add_formats(errors, options, config, record));
  QHX_RETURN_IF_ERROR(write_file(folder / kErrorsFile, record.dump()));
  return record;
}

Result<WeightPlan> weight_plan(const ForgeOptions& options, const fs::path& folder) {
  WeightPlan plan = options.weights;
  if (options.budget) {
    QHX_ASSIGN_OR_RETURN(const std::string note, read_file(folder / kErrorsFile));
    QHX_ASSIGN_OR_RETURN(plan, parse_formats(ordered_json::parse(note, nullptr, false)));
  }
  if (rounds_weights(options)) {
    QHX_ASSIGN_OR_RETURN(auto weights, quant::RoundedWeights::open(rounded_file(options, folder)));
    plan.use(std::move(weights));
  }
  return plan;
}

Result<WeightPlan> parse_formats(const ordered_json& record) {
  WeightPlan plan = WeightFormat::kW8;
  const auto formats = record.is_object() ? record.find("formats") : record.end();
  if (!record.is_object() || formats == record.end() || !formats->is_object())
    return corrupt("rounding.formats: expected an object of tensors and their formats");
  for (const auto& [tensor, word] : formats->items()) {
    const auto format = quant::parse_format(word.is_string() ? word.get<std::string>() : "");
    if (!format || (*format != WeightFormat::kW4 && *format != WeightFormat::kW8))
      return corrupt("rounding.formats." + tensor + ": expected \"w4\" or \"w8\"");
    plan.set(tensor, *format);
  }
  return plan;
}

}  // namespace qhx::forge
