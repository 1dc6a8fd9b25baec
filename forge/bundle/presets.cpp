#include "forge/bundle/presets.h"

#include <string>

namespace qhx::forge {

const std::vector<Preset>& presets() {
  static const std::vector<Preset> all = {
      {"v73-vlm-512", "v73", true, 512, 512, 320, "", "", ""},
      {"v75-vlm-512", "v75", true, 512, 512, 320, "", "", ""},
      {"v79-vlm-512", "v79", true, 512, 512, 320, "", "", ""},
      {"v81-vlm-512", "v81", true, 512, 512, 320, "", "", ""},
      {"v81-text", "v81", false, 512, 512, 0, "llm_text_dec_w8.bin", "qwen3vl_lmh_w8.bin",
       "qwen3vl_embed_f16.bin"},
  };
  return all;
}

Status apply_preset(std::string_view name, ForgeOptions& options) {
  std::string known;
  for (const Preset& preset : presets()) {
    known += (known.empty() ? "" : ", ") + std::string(preset.name);
    if (name != preset.name) continue;
    QHX_ASSIGN_OR_RETURN(options.target, parse_target(preset.target));
    options.weights = WeightFormat::kW8;
    options.pictures = preset.pictures;
    options.image = {preset.image, preset.image};
    options.context_rows = preset.context_rows;
    options.prefill = preset.prefill_rows > 0;
    options.prefill_rows = preset.prefill_rows;
    options.files = {preset.llm, preset.lmhead, preset.embed};
    return {};
  }
  return invalid_argument("--preset " + std::string(name) + ": unknown; there are " + known);
}

}  // namespace qhx::forge
