#include "engine/bundle_cache.h"

#include <sys/stat.h>

#include "base/log.h"
#include "engine/request.h"

namespace qhx::engine {
namespace {

using runtime::ImageFeatures;

// Adds values of fixed size, and texts with their length, so that no two inputs look the same.
class KeyHash {
 public:
  template <class T>
  KeyHash& value(const T& value) {
    static_assert(std::has_unique_object_representations_v<T>);
    hash_.add(std::as_bytes(std::span(&value, 1)));
    return *this;
  }
  KeyHash& text(std::string_view text) {
    value(std::uint64_t{text.size()});
    hash_.add(std::as_bytes(std::span(text)));
    return *this;
  }
  cache::Key key() { return hash_.digest(); }

 private:
  Sha256 hash_;
};

Status add_file(const manifest::FileRecord* record, const std::filesystem::path& path,
                KeyHash& hash) {
  if (record != nullptr && !record->sha256.empty()) return {};  // part of the manifest
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_error(path.string() + ": cannot look at it");
  hash.value(std::uint64_t(info.st_size))
      .value(std::int64_t(info.st_mtim.tv_sec))
      .value(std::int64_t(info.st_mtim.tv_nsec));
  return {};
}

// Writable memory of features of the spec's size, in the order in which it is stored.
std::vector<std::span<std::byte>> pieces_of(ImageFeatures& features) {
  std::vector<std::span<std::byte>> pieces = {std::as_writable_bytes(std::span(features.embeds))};
  for (std::vector<float>& rows : features.deepstack)
    pieces.push_back(std::as_writable_bytes(std::span(rows)));
  return pieces;
}

std::vector<std::span<const std::byte>> pieces_of(const ImageFeatures& features) {
  std::vector<std::span<const std::byte>> pieces = {std::as_bytes(std::span(features.embeds))};
  for (const std::vector<float>& rows : features.deepstack)
    pieces.push_back(std::as_bytes(std::span(rows)));
  return pieces;
}

// Which picture each token belongs to; -1 for text.
std::vector<std::ptrdiff_t> picture_of_tokens(const EncodedPrompt& prompt) {
  std::vector<std::ptrdiff_t> pictures(prompt.ids.size(), -1);
  for (std::size_t i = 0; i < prompt.pictures.size(); ++i) {
    for (std::size_t at = prompt.pictures[i].begin; at < prompt.pictures[i].end; ++at)
      pictures[at] = static_cast<std::ptrdiff_t>(i);
  }
  return pictures;
}

}  // namespace

Result<cache::Key> bundle_identity(const manifest::Manifest& manifest,
                                   const runtime::BundleFiles& files, std::string_view library) {
  KeyHash hash;
  hash.text("bundle").text(QHX_VERSION).text(library);
  hash.text(manifest::print_manifest(manifest).dump(-1, ' ', false,
                                                    nlohmann::json::error_handler_t::replace));
  for (const auto& [key, file] : manifest::named_files(manifest.artifacts)) {
    QHX_ASSIGN_OR_RETURN(const std::filesystem::path path, files.find(file, key));
    QHX_RETURN_IF_ERROR(add_file(files.record(file), path, hash.text(key)));
  }
  return hash.key();
}

std::vector<SharedPart> BundleCache::parts_of(const EncodedPrompt& prompt,
                                              std::span<const PictureId> pictures) const {
  const std::vector<std::ptrdiff_t> picture_of = picture_of_tokens(prompt);
  const std::size_t count = prompt.ids.size();
  std::vector<SharedPart> parts;
  cache::Key before = identity_;
  std::size_t first = 0;
  for (const std::size_t end : prompt.shared_ends) {
    if (end < first + kLeastPart) continue;
    KeyHash hash;
    hash.text("part").value(before).value(std::uint64_t{end - first});
    for (std::size_t at = first; at < end; ++at) {
      const std::ptrdiff_t picture = picture_of[at];
      hash.value(std::int64_t{picture < 0 ? prompt.ids[at] : -1});
      if (picture >= 0) {
        const auto i = static_cast<std::size_t>(picture);
        hash.value(pictures[i]).value(std::uint64_t{at - prompt.pictures[i].begin});
      }
      for (std::size_t axis = 0; axis < 3; ++axis) hash.value(prompt.positions[axis * count + at]);
    }
    before = hash.key();
    parts.push_back({first, end, before});
    first = end;
  }
  return parts;
}

std::size_t BundleCache::load(std::span<const SharedPart> parts, std::size_t common,
                              runtime::TextRunner& runner) const {
  for (const SharedPart& part : parts) {
    if (part.end <= common) continue;
    if (!folder_.contains(part.key)) return common;
    // A part of it may be there already; it is the same.
    runner.truncate(part.first);
    const std::size_t count = part.end - part.first;
    common = part.first;
    if (!folder_.read(part.key, runner.room(count))) return common;
    runner.accept(count);
    common = part.end;
  }
  return common;
}

void BundleCache::store(std::span<const SharedPart> parts, std::size_t common,
                        runtime::TextRunner& runner) const {
  for (const SharedPart& part : parts) {
    if (part.end > common) return;
    const auto rows = runner.rows(part.first, part.end - part.first);
    const std::vector<std::span<const std::byte>> pieces(rows.begin(), rows.end());
    write(part.key, pieces);
  }
}

cache::Key BundleCache::features_key(const PictureId& picture) const {
  return KeyHash().text("features").value(identity_).value(picture).key();
}

std::shared_ptr<const ImageFeatures> BundleCache::load_features(
    const PictureId& picture, const runtime::VisionSpec& spec) const {
  auto features = std::make_shared<ImageFeatures>();
  features->tokens = spec.tokens;
  features->embeds.resize(spec.tokens * spec.hidden);
  features->deepstack.assign(spec.deepstack, features->embeds);
  if (!folder_.read(features_key(picture), pieces_of(*features))) return nullptr;
  return features;
}

void BundleCache::store_features(const PictureId& picture, const ImageFeatures& features) const {
  write(features_key(picture), pieces_of(features));
}

void BundleCache::write(const cache::Key& key,
                        std::span<const std::span<const std::byte>> pieces) const {
  const Status status = folder_.write(key, pieces);
  if (!status.ok()) log(LogLevel::kWarn, "cache folder: " + status.message());
}

}  // namespace qhx::engine
