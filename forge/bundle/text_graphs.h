// The graphs of the text decoder that a bundle has, and their names.
#pragma once

#include <string>
#include <vector>

#include "forge/arch/text_decoder.h"
#include "forge/bundle/options.h"

namespace qhx::forge {

// Each context has a prefill graph for each length of call, and a decode graph; contexts rising,
// decode after prefill. "prefill_320" and "decode_1" where there is one of each, otherwise
// "prefill_320_c1024" and "decode_1_c1024".
std::vector<TextGraphSpec> text_graphs(const ForgeOptions& options, bool deepstack);

// The same for a manifest: the longest call's and the decode graph of the largest context apart.
struct TextGraphNames {
  std::string prefill, decode;
  std::vector<std::string> others;
};
TextGraphNames text_graph_names(const ForgeOptions& options);

}  // namespace qhx::forge
