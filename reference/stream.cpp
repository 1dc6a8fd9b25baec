// The passes with one block's or layer's weights in memory at a time, each used for every input.
#include "reference/forward.h"
#include "reference/products.h"

namespace qhx::reference {

Result<std::vector<VisionOutput>> VisionModel::stream(const hf::ModelConfig& config,
                                                      const hf::Checkpoint& checkpoint,
                                                      const WeightPlan& plan,
                                                      std::span<const PictureInput> pictures,
                                                      ThreadPool& pool, const Observer& observer,
                                                      const Progress& progress) {
  QHX_RETURN_IF_ERROR(hf::validate_tensors(config, checkpoint));
  const WeightReader reader(checkpoint, plan);
  VisionModel model;
  model.config_ = config.vision;
  QHX_RETURN_IF_ERROR(model.load_ends(reader));
  std::vector<Pass> passes;
  for (const PictureInput& picture : pictures)
    passes.push_back(model.begin(picture.patches, picture.grid, pool, observer));
  for (std::size_t i = 0; i < config.vision.depth; ++i) {
    QHX_ASSIGN_OR_RETURN(const Block block, load_block(reader, i));
    for (std::size_t p = 0; p < passes.size(); ++p) {
      model.run_block(block, i, passes[p], pool, observer);
      QHX_RETURN_IF_ERROR(progress(block_products(config.vision, pictures[p])));
    }
    const auto number = config.vision.deepstack_merger_of(i);
    if (!number) continue;
    QHX_ASSIGN_OR_RETURN(const Merger merger, load_deepstack(reader, *number));
    for (Pass& pass : passes) model.run_deepstack(merger, pass, pool, observer);
  }
  std::vector<VisionOutput> outputs;
  for (Pass& pass : passes) outputs.push_back(model.finish(std::move(pass), pool, observer));
  return outputs;
}

Result<std::vector<TextOutput>> TextModel::stream(const hf::ModelConfig& config,
                                                  const hf::Checkpoint& checkpoint,
                                                  const WeightPlan& plan,
                                                  std::span<const TextInput> prompts,
                                                  ThreadPool& pool, const Observer& observer,
                                                  const Progress& progress) {
  QHX_RETURN_IF_ERROR(hf::validate_tensors(config, checkpoint));
  const WeightReader reader(checkpoint, plan);
  TextModel model;
  model.config_ = config;
  std::vector<Pass> passes;
  for (const TextInput& prompt : prompts) {
    QHX_ASSIGN_OR_RETURN(
        Matrix embedded,
        reader.embedding_rows("model.language_model.embed_tokens.weight", prompt.tokens));
    QHX_ASSIGN_OR_RETURN(Pass pass, model.begin(std::move(embedded), prompt, observer));
    passes.push_back(std::move(pass));
  }
  for (std::size_t i = 0; i < config.text.n_layers; ++i) {
    QHX_ASSIGN_OR_RETURN(const Layer layer, load_layer(reader, i));
    for (std::size_t p = 0; p < passes.size(); ++p) {
      KvCache::Layer cache;  // nothing is decoded: each layer's is used once
      model.run_layer(layer, i, cache, passes[p], pool, observer);
      QHX_RETURN_IF_ERROR(progress(layer_products(config.text, prompts[p])));
    }
  }
  QHX_RETURN_IF_ERROR(model.load_ends(reader));
  std::vector<TextOutput> outputs;
  for (Pass& pass : passes) outputs.push_back(model.finish(std::move(pass), pool, observer));
  return outputs;
}

}  // namespace qhx::reference
