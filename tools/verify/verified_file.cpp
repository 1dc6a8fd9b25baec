#include "verify/verified_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/f16.h"
#include "verify/encoding.h"

namespace qhx::verify {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr std::size_t kMostValues = std::size_t{1} << 30;
constexpr std::size_t kMostStages = 4096;

// Little-endian halves of the sample, divided by `scale`, a power of two that makes the largest
// fit.
ordered_json print_stage(const Expected& stage) {
  std::vector<float> values = stage.values;
  if (values.size() > kSample) {
    values.clear();
    for (const std::size_t place : sample_places(stage.count))
      values.push_back(stage.values[place]);
  }
  float largest = 0;
  for (const float x : values) largest = std::max(largest, std::abs(x));
  // A power of two below the smallest normal float could be zero.
  const float scale = largest > 0 ? std::max(std::exp2(std::floor(std::log2(largest)) - 8),
                                             std::numeric_limits<float>::min())
                                  : 1.0f;
  std::vector<std::byte> bytes;
  for (const float x : values) {
    const std::uint16_t half = f32_to_f16(x / scale);
    bytes.push_back(static_cast<std::byte>(half & 255));
    bytes.push_back(static_cast<std::byte>(half >> 8));
  }
  return {
      {"name", stage.name}, {"count", stage.count}, {"scale", scale}, {"f16", to_base64(bytes)}};
}

ordered_json print_judge(const Judge& judge) {
  ordered_json out = {{"name", judge.name}};
  out["vision_cosine"] = judge.thresholds.vision ? ordered_json(*judge.thresholds.vision) : nullptr;
  out["text_cosine"] = judge.thresholds.text ? ordered_json(*judge.thresholds.text) : nullptr;
  out["greedy"] = judge.thresholds.greedy;
  for (const Expected& stage : judge.stages) out["stages"].push_back(print_stage(stage));
  for (const Best& step : judge.steps) {
    ordered_json list = ordered_json::array();
    for (const auto& [id, value] : step) list.push_back({id, value});
    out["best"].push_back(std::move(list));
  }
  return out;
}

// Reading: nlohmann's at() and get() throw on what is missing or of another type, which
// parse_verified() catches; what has the right type but no sense throws Damage.
struct Damage {
  std::string what;
};

void require(bool holds, const std::string& what) {
  if (!holds) throw Damage{what};
}

std::uint64_t natural(const json& from, std::uint64_t most, const std::string& field) {
  require(from.is_number_unsigned() && from.get<std::uint64_t>() <= most,
          field + ": expected a whole number up to " + std::to_string(most));
  return from.get<std::uint64_t>();
}

double finite(const json& from, const std::string& field) {
  require(from.is_number(), field + ": expected a number");
  const auto value = from.get<double>();
  require(std::isfinite(value) && std::isfinite(static_cast<float>(value)),
          field + ": expected a finite number");
  return value;
}

std::vector<std::byte> read_bytes(const json& from, const std::string& field) {
  require(from.is_string(), field + ": expected base64");
  auto bytes = from_base64(from.get_ref<const std::string&>());
  if (!bytes.ok()) throw Damage{field + ": " + bytes.status().message()};
  return std::move(bytes).value();
}

std::vector<std::int32_t> read_ids(const json& from, const std::string& field) {
  require(from.is_array() && !from.empty() && from.size() <= (1u << 20),
          field + ": expected a list of token ids");
  std::vector<std::int32_t> ids;
  for (const json& id : from)
    ids.push_back(static_cast<std::int32_t>(natural(id, INT32_MAX, field)));
  return ids;
}

Expected read_stage(const json& from, const std::string& where) {
  Expected stage;
  stage.name = from.at("name").get<std::string>();
  const std::string field = where + "." + stage.name;
  stage.count = natural(from.at("count"), kMostValues, field + ".count");
  require(stage.count > 0, field + ".count: expected at least 1");
  const auto scale = static_cast<float>(finite(from.at("scale"), field + ".scale"));
  require(scale > 0, field + ".scale: expected a positive number");
  const std::vector<std::byte> bytes = read_bytes(from.at("f16"), field + ".f16");
  const std::size_t expected = std::min(stage.count, kSample);
  require(bytes.size() == 2 * expected, field + ".f16: has " + std::to_string(bytes.size()) +
                                            " bytes, expected " + std::to_string(2 * expected));
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const auto half = static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[i]) |
                                                 std::to_integer<unsigned>(bytes[i + 1]) << 8);
    const float value = f16_to_f32(half) * scale;
    require(std::isfinite(value), field + ".f16: a value that is not a number");
    stage.values.push_back(value);
  }
  return stage;
}

std::optional<double> read_threshold(const json& from, const std::string& field) {
  if (from.is_null()) return std::nullopt;
  const double value = finite(from, field);
  require(value > 0 && value <= 1, field + ": expected a cosine above 0, up to 1");
  return value;
}

Best read_best(const json& from, const std::string& field) {
  require(from.is_array() && !from.empty() && from.size() <= kBest,
          field + ": expected up to " + std::to_string(kBest) + " pairs");
  Best best;
  for (const json& one : from) {
    require(one.is_array() && one.size() == 2, field + ": expected [id, logit]");
    best.emplace_back(static_cast<std::int32_t>(natural(one[0], INT32_MAX, field)),
                      static_cast<float>(finite(one[1], field)));
    require(best.size() == 1 || best.back().second <= best[best.size() - 2].second,
            field + ": logits do not fall");
  }
  return best;
}

Judge read_judge(const json& from, const std::string& where, std::size_t steps) {
  Judge judge;
  judge.name = from.at("name").get<std::string>();
  judge.thresholds.vision = read_threshold(from.at("vision_cosine"), where + ".vision_cosine");
  judge.thresholds.text = read_threshold(from.at("text_cosine"), where + ".text_cosine");
  judge.thresholds.greedy = from.at("greedy").get<bool>();
  const json& stages = from.at("stages");
  require(stages.is_array() && !stages.empty() && stages.size() <= kMostStages,
          where + ".stages: expected a list");
  std::size_t logits = 0;
  for (const json& stage : stages) {
    judge.stages.push_back(read_stage(stage, where + ".stages"));
    logits += judge.stages.back().name.starts_with("logits_");
  }
  for (const json& step : from.at("best")) judge.steps.push_back(read_best(step, where + ".best"));
  require(
      judge.steps.size() == steps && logits == steps,
      where + ": expected logits and best of each of the " + std::to_string(steps) + " answer ids");
  return judge;
}

void read_input(const json& from, Input& input) {
  input.prompt = from.at("prompt").get<std::string>();
  input.prompt_ids = read_ids(from.at("prompt_ids"), "input.prompt_ids");
  input.answer_ids = read_ids(from.at("answer_ids"), "input.answer_ids");
  if (from.at("png").is_null()) return;
  auto image = vision::decode_image(read_bytes(from.at("png"), "input.png"),
                                    {.max_pixels = std::size_t{1} << 24});
  if (!image.ok()) throw Damage{"input.png: " + image.status().message()};
  input.picture = std::move(image).value();
}

Verified read_verified(const json& from) {
  require(from.at("schema_version") == 1, "schema_version: expected 1; a later qhx may know it");
  Verified out;
  out.version = from.at("qhexrt").get<std::string>();
  out.made = from.at("made").get<std::string>();
  out.library = from.at("library").get<std::string>();
  out.manifest = from.at("manifest").get<std::string>();
  require(from.at("files").is_object(), "files: expected an object");
  for (const auto& [name, file] : from.at("files").items()) {
    out.files[name] = {natural(file.at("bytes"), UINT64_MAX, "files." + name + ".bytes"),
                       file.at("sha256").get<std::string>()};
  }
  read_input(from.at("input"), out.input);
  const json& judges = from.at("judges");
  require(judges.is_array() && !judges.empty() && judges.size() <= 8, "judges: expected a list");
  for (std::size_t i = 0; i < judges.size(); ++i)
    out.judges.push_back(
        read_judge(judges[i], "judges[" + std::to_string(i) + "]", out.input.answer_ids.size()));
  return out;
}

}  // namespace

Result<std::string> print_verified(const Verified& verified) {
  ordered_json out;
  out["schema_version"] = 1;
  out["qhexrt"] = verified.version;
  out["made"] = verified.made;
  out["library"] = verified.library;
  out["manifest"] = verified.manifest;
  out["files"] = ordered_json::object();
  for (const auto& [name, file] : verified.files)
    out["files"][name] = {{"bytes", file.bytes}, {"sha256", file.sha256}};
  ordered_json& input = out["input"];
  input["prompt"] = verified.input.prompt;
  input["prompt_ids"] = verified.input.prompt_ids;
  input["answer_ids"] = verified.input.answer_ids;
  input["png"] = nullptr;
  if (verified.input.picture.has_value()) {
    QHX_ASSIGN_OR_RETURN(const std::vector<std::byte> png, to_png(*verified.input.picture));
    input["png"] = to_base64(png);
  }
  for (const Judge& judge : verified.judges) out["judges"].push_back(print_judge(judge));
  return out.dump(1, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<Verified> parse_verified(std::string_view text, std::string_view name) {
  try {
    return read_verified(json::parse(text));
  } catch (const Damage& damage) {
    return corrupt(std::string(name) + ": " + damage.what);
  } catch (const json::exception& error) {
    return corrupt(std::string(name) + ": " + error.what());
  }
}

}  // namespace qhx::verify
