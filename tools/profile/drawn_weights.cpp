#include "profile/drawn_weights.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "random_checkpoint.h"

namespace qhx::profile {
namespace {

using nlohmann::json;

void cut(json& config, const char* model, const char* count, std::uint32_t layers) {
  if (!config.contains(model) || !config[model].contains(count)) return;
  json& number = config[model][count];
  if (number.is_number_unsigned())
    number = std::min(number.get<std::uint64_t>(), std::uint64_t{layers});
}

}  // namespace

Status draw_weights(const std::filesystem::path& from, std::uint32_t layers,
                    const std::filesystem::path& to, int threads) {
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(from / "config.json"));
  json config = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (config.is_discarded()) return corrupt((from / "config.json").string() + ": is not JSON");
  if (layers > 0) {
    cut(config, "text_config", "num_hidden_layers", layers);
    cut(config, "vision_config", "depth", layers);
    json& features = config["vision_config"]["deepstack_visual_indexes"];
    json kept = json::array();
    for (const json& block : features) {
      if (block.is_number_unsigned() && block.get<std::uint64_t>() < layers) kept.push_back(block);
    }
    features = kept;
  }
  ThreadPool pool(threads);
  return tools::write_random_checkpoint(
      {.config = std::move(config), .folder = to, .tokenizer = {}}, pool);
}

}  // namespace qhx::profile
