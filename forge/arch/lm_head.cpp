#include "forge/arch/lm_head.h"

#include "forge/arch/graph_ops.h"

namespace qhx::forge {

Result<qnn::Graph> build_lm_head(std::shared_ptr<qnn::Context> context,
                                 const hf::ModelConfig& config, const WeightLoader& weights,
                                 const qnn::HtpGraphOptions& htp) {
  const auto hidden = static_cast<std::uint32_t>(config.text.hidden_size);
  const auto vocab = static_cast<std::uint32_t>(config.text.vocab_size);
  QHX_ASSIGN_OR_RETURN(qnn::GraphBuilder builder,
                       qnn::GraphBuilder::create(std::move(context), "lmhead", htp));
  GraphOps ops(builder, weights.activation());
  const qnn::Value x = ops.reshape(ops.input("x", {1, hidden}), {1, 1, 1, hidden});
  QHX_ASSIGN_OR_RETURN(
      const Linear head,
      weights.linear(config.tie_word_embeddings ? "model.language_model.embed_tokens" : "lm_head"));
  ops.reshape_into(ops.linear(x, head), ops.output("logits", {1, vocab}));
  return std::move(builder).finalize();
}

}  // namespace qhx::forge
