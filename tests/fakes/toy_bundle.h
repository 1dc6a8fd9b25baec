// A bundle folder for the toy model: tokenizer, embeddings and a manifest, and an engine over them.
//
// Token ids: bytes 0..255, a few merges, then the added tokens named below. The vocabulary has
// `kVocab` rows.
#pragma once

#include <filesystem>
#include <memory>

#include "engine/engine.h"
#include "engine/session.h"
#include "fakes/toy_model.h"

namespace qhx::fakes {

class ToyBundle {
 public:
  static constexpr std::uint32_t kVocab = 272;

  // options.vocab is set to kVocab. With patches > 0 the manifest has a vision section for a
  // picture of `picture` x `picture` pixels, patches of 4 x 4, merged 2 x 2, embedded in the graph.
  explicit ToyBundle(ToyOptions options = {}, std::uint32_t picture = 0);
  ~ToyBundle();
  ToyBundle(const ToyBundle&) = delete;
  ToyBundle& operator=(const ToyBundle&) = delete;

  // After changes to manifest(). The model's pointer stays valid as long as the engine.
  Result<std::shared_ptr<engine::Engine>> engine();
  // The engine's graphs, once engine() was called.
  ToyModel& model() { return *model_; }
  manifest::Manifest& manifest() { return manifest_; }
  const std::filesystem::path& folder() const { return folder_; }

  std::int32_t end = 0, vision_start = 0, vision_pad = 0, vision_end = 0;  // ids

 private:
  void write_tokenizer();
  void write_embeddings();
  void make_manifest(std::uint32_t picture);

  ToyOptions options_;
  std::filesystem::path folder_;
  manifest::Manifest manifest_;
  ToyModel* model_ = nullptr;
};

// A head that makes the model say `ids`, one after the other, then the last one for ever.
ToyModel::Head saying(std::vector<std::int32_t> ids);

}  // namespace qhx::fakes
