#include "engine/engine.h"

#include "engine/stopwatch.h"
#include "runtime/qnn_graphs.h"

namespace qhx::engine {
namespace {

namespace fs = std::filesystem;
using runtime::Role;

// The turn format of tokenizers that have its two tokens, for manifests without a chat section.
std::optional<text::ChatFormat> chatml(const text::Tokenizer& tokenizer) {
  constexpr const char *kStart = "<|im_start|>", *kEnd = "<|im_end|>";
  if (!tokenizer.added_token_id(kStart) || !tokenizer.added_token_id(kEnd)) return std::nullopt;
  const auto turn = [&](const std::string& role) {
    return text::TextAround{kStart + role + "\n", std::string(kEnd) + "\n"};
  };
  text::ChatFormat format;
  format.system = turn("system");
  format.user = turn("user");
  format.assistant = turn("assistant");
  return format;
}

}  // namespace

Result<std::shared_ptr<Engine>> Engine::load(const qhexrt::EngineOptions& options) {
  const Stopwatch watch;
  QHX_ASSIGN_OR_RETURN(manifest::Manifest manifest, manifest::load_manifest(options.manifest));
  QHX_ASSIGN_OR_RETURN(std::shared_ptr<Engine> engine, load(options, std::move(manifest)));
  engine->load_ms_ = watch.ms();
  return engine;
}

Result<std::shared_ptr<Engine>> Engine::load(const qhexrt::EngineOptions& options,
                                             manifest::Manifest manifest) {
  const Stopwatch watch;
  const fs::path path(options.manifest);
  fs::path folder = options.folder.empty() ? path.parent_path() : fs::path(options.folder);
  if (folder.empty()) folder = ".";
  std::shared_ptr<Engine> engine(new Engine(std::move(manifest), std::move(folder)));
  const std::string name = path.filename().string();
  QHX_RETURN_IF_ERROR(engine->load_graphs(options).with_context(name));
  QHX_RETURN_IF_ERROR(engine->finish(options.threads).with_context(name));
  if (!options.cache_folder.empty())
    QHX_RETURN_IF_ERROR(engine->use_cache(options.cache_folder, options.cache_bytes));
  engine->load_ms_ = watch.ms();
  return engine;
}

Result<std::shared_ptr<Engine>> Engine::assemble(manifest::Manifest manifest, fs::path folder,
                                                 std::unique_ptr<runtime::GraphProvider> graphs,
                                                 int threads) {
  std::shared_ptr<Engine> engine(new Engine(std::move(manifest), std::move(folder)));
  engine->graphs_ = std::move(graphs);
  QHX_RETURN_IF_ERROR(engine->finish(threads));
  return engine;
}

Status Engine::load_graphs(const qhexrt::EngineOptions& options) {
  QHX_RETURN_IF_ERROR(
      runtime::BundleFiles::check_all(files_, manifest_.artifacts, options.verify_hashes));
  QHX_ASSIGN_OR_RETURN(auto library, qnn::BackendLibrary::open(options.backend_library));
  QHX_ASSIGN_OR_RETURN(const auto system, qnn::SystemLibrary::open(options.system_library));
  const runtime::LoadOptions load = {.threads = options.threads,
                                     .allow_arch_mismatch = options.allow_arch_mismatch,
                                     .allow_low_memory = options.allow_low_memory};
  QHX_ASSIGN_OR_RETURN(
      auto graphs, runtime::QnnGraphs::open(manifest_, files_, *system, std::move(library), load));
  notes_ = graphs->notes();
  graphs_ = std::move(graphs);
  return {};
}

Status Engine::finish(int threads) {
  QHX_ASSIGN_OR_RETURN(text_spec_, runtime::make_text_spec(manifest_, *graphs_));
  QHX_RETURN_IF_ERROR(make_vision(threads));
  QHX_ASSIGN_OR_RETURN(const fs::path table,
                       files_.find(manifest_.artifacts.embed, "artifacts.embed"));
  QHX_ASSIGN_OR_RETURN(embeddings_,
                       runtime::EmbeddingTable::open(table, text_spec_.vocab, text_spec_.hidden,
                                                     files_.record(manifest_.artifacts.embed)));
  QHX_RETURN_IF_ERROR(read_tokenizer());
  QHX_RETURN_IF_ERROR(read_chat());
  QHX_RETURN_IF_ERROR(find_special_tokens());
  for (const Role role : {Role::kDecode, Role::kPrefill, Role::kHead}) {
    for (std::size_t i = 0; i < graphs_->infos(role).size(); ++i)
      QHX_RETURN_IF_ERROR(graphs_->open(role, i).status());
  }
  return {};
}

Status Engine::use_cache(const fs::path& folder, std::uint64_t max_bytes) {
  QHX_ASSIGN_OR_RETURN(cache::CacheFolder opened, cache::CacheFolder::open(folder, max_bytes));
  QHX_ASSIGN_OR_RETURN(const cache::Key identity,
                       bundle_identity(manifest_, files_, graphs_->identity()));
  cache_ = std::make_unique<BundleCache>(std::move(opened), identity);
  return {};
}

Status Engine::make_vision(int threads) {
  if (!manifest_.vision.has_value()) return {};
  const qnn::GraphInfo* graph = graphs_->info(Role::kVision);
  if (graph == nullptr) return unsupported("plan.params.vision: the bundle has no vision graph");
  QHX_ASSIGN_OR_RETURN(const runtime::VisionSpec spec,
                       runtime::make_vision_spec(manifest_, *graph, text_spec_));
  vision_ = std::make_unique<runtime::VisionEncoder>(spec, files_, manifest_.artifacts, *graphs_,
                                                     threads);
  return {};
}

Status Engine::read_tokenizer() {
  const std::string& file = manifest_.artifacts.tokenizer;
  QHX_ASSIGN_OR_RETURN(const MappedFile mapped, files_.map(file, "artifacts.tokenizer"));
  const std::string_view json(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.size());
  QHX_ASSIGN_OR_RETURN(tokenizer_, text::Tokenizer::from_json(json, file));
  if (static_cast<std::size_t>(tokenizer_->vocab_size()) > text_spec_.vocab) {
    return corrupt(file + ": has token ids up to " + std::to_string(tokenizer_->vocab_size() - 1) +
                   ", the model's vocabulary ends before " + std::to_string(text_spec_.vocab));
  }
  return {};
}

Status Engine::read_chat() {
  if (!manifest_.chat.present) {
    chat_ = chatml(*tokenizer_);
    return {};
  }
  const std::string json = manifest::print_manifest(manifest_)["chat"].dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  QHX_ASSIGN_OR_RETURN(chat_, text::ChatFormat::from_json(json).with_context("chat"));
  return {};
}

// Ids that the manifest may leave to the tokenizer.
Status Engine::find_special_tokens() {
  stop_ids_ = manifest_.params.eos_token_id;
  if (stop_ids_.empty() && chat_) {
    // What ends an answer begins with the end-of-turn token.
    const auto ids = tokenizer_->encode(chat_->assistant.after);
    if (!ids.empty() && tokenizer_->is_special(ids[0])) stop_ids_.push_back(ids[0]);
  }
  image_token_ = manifest_.params.image_token_id.value_or(-1);
  if (image_token_ < 0 && vision_ != nullptr && chat_)
    image_token_ = tokenizer_->added_token_id(chat_->vision_pad).value_or(-1);
  if (vision_ != nullptr && image_token_ < 0)
    return unsupported("params.image_token_id: missing, and chat.vision_pad names no token");
  if (vision_ != nullptr && chat_ &&
      tokenizer_->added_token_id(chat_->vision_pad) != image_token_) {
    return corrupt("params.image_token_id: " + std::to_string(image_token_) +
                   " is not the tokenizer's id of chat.vision_pad, \"" + chat_->vision_pad + "\"");
  }
  return {};
}

}  // namespace qhx::engine
