// What a bundle made of pictures and of the beginnings of prompts, kept in a cache folder.
//
// Two things are kept: the features of a picture, which save the vision graph, and the keys and
// values of a shared part of a prompt, which save its prefill (and with it a picture's features).
// A part reaches from the end of the one before to the end of the system message or of a picture;
// its key covers everything before it, so parts are found one after the other from the first token.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "cache/cache_folder.h"
#include "engine/pictures.h"
#include "manifest/manifest.h"
#include "runtime/bundle_files.h"
#include "runtime/prompt.h"
#include "runtime/text_runner.h"
#include "runtime/vision_encoder.h"

namespace qhx::engine {

struct EncodedPrompt;

// Tokens [first, end) of a prompt.
struct SharedPart {
  std::size_t first = 0, end = 0;
  cache::Key key = {};
};

// Changes with everything that features and cache rows depend on besides pictures and tokens: the
// manifest, the files (by their recorded SHA-256; without one by size and time of change), this
// program's version, and `library`, which stands for the one that runs the graphs. kNotFound if a
// file is missing.
Result<cache::Key> bundle_identity(const manifest::Manifest& manifest,
                                   const runtime::BundleFiles& files, std::string_view library);

// Thread-safe. What cannot be read counts as not there, what cannot be written is logged: a cache
// never makes an answer fail.
class BundleCache {
 public:
  // Shorter parts are joined with the next: a prefill call has about as many rows at least.
  static constexpr std::size_t kLeastPart = 16;

  BundleCache(cache::CacheFolder folder, const cache::Key& identity)
      : folder_(std::move(folder)), identity_(identity) {}

  std::vector<SharedPart> parts_of(const EncodedPrompt& prompt,
                                   std::span<const PictureId> pictures) const;
  // Reads the parts that go beyond the first `common` tokens, which the runner has cached, as long
  // as there are any. Returns how many of the prompt's tokens the runner has cached then; it may
  // be less than `common` if a file turns out to be damaged.
  std::size_t load(std::span<const SharedPart> parts, std::size_t common,
                   runtime::TextRunner& runner) const;
  // Writes the parts that the folder has not, as far as the runner has cached them: the prompt's
  // first `common` tokens.
  void store(std::span<const SharedPart> parts, std::size_t common,
             runtime::TextRunner& runner) const;

  // Null if there are none.
  std::shared_ptr<const runtime::ImageFeatures> load_features(
      const PictureId& picture, const runtime::VisionSpec& spec) const;
  void store_features(const PictureId& picture, const runtime::ImageFeatures& features) const;

 private:
  cache::Key features_key(const PictureId& picture) const;
  void write(const cache::Key& key, std::span<const std::span<const std::byte>> pieces) const;

  cache::CacheFolder folder_;
  cache::Key identity_;
};

}  // namespace qhx::engine
