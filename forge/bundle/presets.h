// Published bundles by name: what each holds, so that ours and theirs are interchangeable.
#pragma once

#include <string_view>
#include <vector>

#include "forge/bundle/options.h"

namespace qhx::forge {

struct Preset {
  const char* name;  // "v79-vlm-512"
  const char* target;
  bool pictures;  // a vision encoder, and a manifest for pictures and text
  std::uint32_t image;
  std::uint32_t context_rows;
  std::uint32_t prefill_rows;  // 0: no prefill graph, prompts go through decode
  // Names of the text decoder's, the lm-head's and the table's files; empty: the usual ones.
  const char *llm, *lmhead, *embed;
};

const std::vector<Preset>& presets();

// Sets what the preset decides and leaves the rest. kInvalidArgument names the presets there are.
Status apply_preset(std::string_view name, ForgeOptions& options);

}  // namespace qhx::forge
