// A loaded bundle: everything that sessions share.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/status.h"
#include "engine/bundle_cache.h"
#include "manifest/manifest.h"
#include "qhexrt/qhexrt.hpp"
#include "runtime/bundle_files.h"
#include "runtime/embedding_table.h"
#include "runtime/executor.h"
#include "runtime/text_spec.h"
#include "runtime/vision_encoder.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace qhx::engine {

// Immutable after loading; thread-safe.
class Engine {
 public:
  // Opens the libraries and the bundle. The vision graph is loaded with the first picture, the
  // others now.
  static Result<std::shared_ptr<Engine>> load(const qhexrt::EngineOptions& options);
  // The same with what options.manifest says already read, or changed since.
  static Result<std::shared_ptr<Engine>> load(const qhexrt::EngineOptions& options,
                                              manifest::Manifest manifest);
  // The same with graphs from elsewhere. `graphs` are asked for each role when it is needed.
  static Result<std::shared_ptr<Engine>> assemble(manifest::Manifest manifest,
                                                  std::filesystem::path folder,
                                                  std::unique_ptr<runtime::GraphProvider> graphs,
                                                  int threads);

  const manifest::Manifest& manifest() const { return manifest_; }
  const runtime::TextSpec& text_spec() const { return text_spec_; }
  const runtime::EmbeddingTable& embeddings() const { return *embeddings_; }
  const text::Tokenizer& tokenizer() const { return *tokenizer_; }
  runtime::GraphProvider& graphs() const { return *graphs_; }
  // Keeps what pictures and prompts became in a folder. Before the engine is shared. Errors of
  // cache::CacheFolder::open().
  Status use_cache(const std::filesystem::path& folder, std::uint64_t max_bytes);
  // Null if there is no folder for it.
  const BundleCache* cache() const { return cache_.get(); }
  // Null if the bundle takes text only.
  runtime::VisionEncoder* vision() const { return vision_.get(); }
  // Null if neither the manifest nor the tokenizer tells one.
  const text::ChatFormat* chat() const { return chat_ ? &*chat_ : nullptr; }
  const std::vector<std::int32_t>& stop_ids() const { return stop_ids_; }
  // The token that stands for one merged patch; -1 if there is none.
  std::int32_t image_token() const { return image_token_; }
  // What loading let through because the options allow it, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }
  double load_ms() const { return load_ms_; }

 private:
  Engine(manifest::Manifest manifest, std::filesystem::path folder)
      : manifest_(std::move(manifest)), files_(std::move(folder), manifest_.artifacts) {}
  Status load_graphs(const qhexrt::EngineOptions& options);
  Status finish(int threads);
  Status read_tokenizer();
  Status read_chat();
  Status find_special_tokens();
  Status make_vision(int threads);

  manifest::Manifest manifest_;
  runtime::BundleFiles files_;
  std::unique_ptr<runtime::GraphProvider> graphs_;
  runtime::TextSpec text_spec_;
  std::optional<runtime::EmbeddingTable> embeddings_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<text::ChatFormat> chat_;
  std::unique_ptr<runtime::VisionEncoder> vision_;
  std::unique_ptr<const BundleCache> cache_;
  std::vector<std::int32_t> stop_ids_;
  std::int32_t image_token_ = -1;
  std::vector<std::string> notes_;
  double load_ms_ = 0;
};

}  // namespace qhx::engine
