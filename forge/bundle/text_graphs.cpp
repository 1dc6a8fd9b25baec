#include "forge/bundle/text_graphs.h"

namespace qhx::forge {

std::vector<TextGraphSpec> text_graphs(const ForgeOptions& options, bool deepstack) {
  const std::vector<std::uint32_t> calls = prefill_rows(options);
  const bool several = options.context_rows.size() > 1 || calls.size() > 1;
  std::vector<TextGraphSpec> graphs;
  for (const std::uint32_t context : options.context_rows) {
    const std::string suffix = several ? "_c" + std::to_string(context) : "";
    for (const std::uint32_t rows : calls)
      graphs.push_back({"prefill_" + std::to_string(rows) + suffix, rows, context, deepstack});
    graphs.push_back({"decode_1" + suffix, 1, context, false});
  }
  return graphs;
}

TextGraphNames text_graph_names(const ForgeOptions& options) {
  TextGraphNames names;
  const std::vector<TextGraphSpec> graphs = text_graphs(options, false);
  for (const TextGraphSpec& graph : graphs)
    (graph.rows == 1 ? names.decode : names.prefill) = graph.name;
  for (const TextGraphSpec& graph : graphs) {
    if (graph.name != names.decode && graph.name != names.prefill)
      names.others.push_back(graph.name);
  }
  return names;
}

}  // namespace qhx::forge
