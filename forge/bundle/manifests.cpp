#include "forge/bundle/manifests.h"

#include "forge/bundle/contexts.h"
#include "forge/bundle/text_graphs.h"

namespace qhx::forge {
namespace {

using manifest::Manifest;
using manifest::Step;

std::uint32_t u32(std::size_t value) { return static_cast<std::uint32_t>(value); }

manifest::Params make_params(const ForgeOptions& options, const hf::ModelConfig& config,
                             const BundleFacts& facts) {
  const hf::TextConfig& text = config.text;
  manifest::Params params;
  params.hidden = u32(text.hidden_size);
  params.vocab = u32(text.vocab_size);
  params.n_layers = u32(text.n_layers);
  params.n_heads = u32(text.n_heads);
  params.n_kv_heads = u32(text.n_kv_heads);
  params.kv_dim = u32(text.kv_width());
  params.head_dim = u32(text.head_dim);
  params.max_ctx = options.context_rows.back();
  params.rope_theta = text.rope_theta;
  for (const int pairs : text.mrope_section)
    params.mrope_section.push_back(static_cast<std::uint32_t>(pairs));
  params.eos_token_id = facts.stop_ids;
  params.image_token_id = config.image_token_id;
  params.vision_start_token_id = config.vision_start_token_id;
  params.vision_end_token_id = config.vision_end_token_id;
  return params;
}

manifest::Vision make_vision(const ForgeOptions& options, const hf::ModelConfig& config) {
  const hf::VisionConfig& from = config.vision;
  manifest::Vision vision;
  vision.width = options.image.width;
  vision.height = options.image.height;
  vision.patch = u32(from.patch_size);
  vision.merge = u32(from.spatial_merge_size);
  vision.temporal = u32(from.temporal_patch_size);
  vision.mean = config.preprocessor.mean;
  vision.std = config.preprocessor.std;
  vision.hidden = u32(from.hidden_size);
  vision.position_grid = u32(from.position_grid);
  return vision;
}

// Greedy unless asked otherwise; the checkpoint's own limits apply once a temperature is set.
manifest::Sampling make_sampling(const hf::GenerationConfig& generation) {
  manifest::Sampling sampling;
  sampling.top_k = generation.top_k;
  sampling.top_p = generation.top_p;
  sampling.repetition_penalty = generation.repetition_penalty;
  return sampling;
}

Step host(const char* op) {
  Step step;
  step.host = op;
  return step;
}

Step loop(const char* kind, const std::string& graph) {
  Step step;
  step.loop = kind;
  step.graph = "llm/" + graph;
  return step;
}

Step vision_step() {
  Step step;
  step.graph = "vision";
  step.in = {{"patches", "patch_features"}};
  step.out = {{"image_embeds", "image"}, {"deepstack_*", "deepstack"}};
  return step;
}

// What both manifests say.
Manifest make_common(const ForgeOptions& options, const hf::ModelConfig& config,
                     const BundleNames& names, const BundleFacts& facts) {
  Manifest out;
  out.model = {facts.model, "llm", options.target.name, options.target.soc_model, facts.qnn_build};
  out.params = make_params(options, config, facts);
  out.artifacts.contexts = {{"llm", names.llm}, {"lmhead", names.lmhead}};
  out.artifacts.embed = names.embed;
  out.artifacts.tokenizer = names.tokenizer;
  if (needs_twin(options)) out.artifacts.emulation = {{"llm", names.llm_emulation}};
  const TextGraphNames graphs = text_graph_names(options);
  out.plan.prefill = graphs.prefill;
  out.plan.decode = graphs.decode;
  out.plan.graphs = graphs.others;
  out.plan.call_cost = call_cost(options.target);
  // As many decode calls as cost no more than the shortest prefill call.
  if (const std::vector<std::uint32_t> calls = prefill_rows(options); !calls.empty())
    out.plan.decode_tail = (calls.front() + out.plan.call_cost) / (1 + out.plan.call_cost);
  out.plan.lmhead = kLmHeadName;
  out.kv.dtype = options.kv == KvFormat::kInt8 ? "i8" : "f16";
  out.kv.layout = "head_major";
  out.sampling = make_sampling(config.generation);
  out.chat = facts.chat;
  return out;
}

void add_generation_steps(Manifest& out) {
  out.plan.steps.push_back(host("mrope"));
  if (!out.plan.prefill.empty()) out.plan.steps.push_back(loop("prefill", out.plan.prefill));
  Step decode = loop("decode", out.plan.decode);
  decode.rope = "rope_decode_f16";
  decode.head = "lmhead";
  out.plan.steps.push_back(decode);
}

// Records of the files that the manifest names.
void add_file_records(Manifest& out, const BundleFacts& facts) {
  for (const auto& [key, file] : manifest::named_files(out.artifacts))
    out.artifacts.files[file] = facts.files.at(file);
  for (const auto& [role, file] : out.artifacts.emulation)
    out.artifacts.files[file] = facts.files.at(file);
}

}  // namespace

Manifest make_vlm_manifest(const ForgeOptions& options, const hf::ModelConfig& config,
                           const BundleNames& names, const BundleFacts& facts) {
  Manifest out = make_common(options, config, names, facts);
  out.model.family = "vlm";
  out.vision = make_vision(options, config);
  out.artifacts.contexts["vision"] = names.vision;
  out.artifacts.patch_embed = names.patch_embed;
  out.artifacts.patch_embed_bias = names.patch_embed_bias;
  out.artifacts.pos_embed = names.pos_embed;
  out.plan.vision = kVisionName;
  out.plan.steps = {host("tokenize"), host("image_patches"), host("patch_embed"), vision_step(),
                    host("embed_scatter")};
  add_generation_steps(out);
  add_file_records(out, facts);
  return out;
}

Manifest make_text_manifest(const ForgeOptions& options, const hf::ModelConfig& config,
                            const BundleNames& names, const BundleFacts& facts) {
  Manifest out = make_common(options, config, names, facts);
  out.plan.steps = {host("tokenize"), host("embed_scatter")};
  add_generation_steps(out);
  add_file_records(out, facts);
  return out;
}

}  // namespace qhx::forge
