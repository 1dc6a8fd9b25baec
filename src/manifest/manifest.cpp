#include "manifest/manifest.h"

#include <algorithm>
#include <charconv>

#include "base/file.h"
#include "manifest/reader.h"
#include "manifest/writer.h"

namespace qhx::manifest {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{16} << 20;
// Far more than the format has; keeps recursive code over documents away from the stack's end.
constexpr int kMaxDepth = 64;

Status check_depth(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth)
        return corrupt("nested more than " + std::to_string(kMaxDepth) + " levels deep");
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return {};
}

Result<nlohmann::json> parse_json(std::string_view text) {
  QHX_RETURN_IF_ERROR(check_depth(text));
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    // "[json.exception.parse_error.101] parse error at line …": the part after the bracket is for
    // people. It can quote bytes of the document, so only its first line is kept.
    std::string what = error.what();
    if (const auto end = what.find("] "); end != std::string::npos) what.erase(0, end + 2);
    return corrupt("not JSON: " + what.substr(0, what.find('\n')));
  }
}

Status contradiction(std::string_view what, std::uint64_t first, std::uint64_t second) {
  return corrupt(std::string(what) + ": " + std::to_string(first) + " and " +
                 std::to_string(second) + " contradict each other");
}

Status check_params(const Params& p) {
  if (p.head_dim % 2 != 0)
    return corrupt("params.head_dim: must be even, found " + std::to_string(p.head_dim));
  if (p.n_heads != 0 && p.n_kv_heads != 0 && p.n_heads % p.n_kv_heads != 0)
    return contradiction("params.n_heads and params.n_kv_heads", p.n_heads, p.n_kv_heads);
  const std::uint64_t kv_dim = std::uint64_t{p.n_kv_heads} * p.head_dim;
  if (p.kv_dim != 0 && kv_dim != 0 && p.kv_dim != kv_dim)
    return contradiction("params.kv_dim and n_kv_heads * head_dim", p.kv_dim, kv_dim);
  std::uint64_t pairs = 0;
  for (const std::uint32_t section : p.mrope_section) pairs += section;
  if (!p.mrope_section.empty() && p.head_dim != 0 && pairs != p.head_dim / 2)
    return contradiction("params.mrope_section's sum and head_dim / 2", pairs, p.head_dim / 2);
  for (const std::int32_t id : p.eos_token_id) {
    if (p.vocab != 0 && static_cast<std::uint32_t>(id) >= p.vocab)
      return contradiction("params.eos_token_id and vocab", static_cast<std::uint32_t>(id),
                           p.vocab);
  }
  for (const auto& id : {p.image_token_id, p.vision_start_token_id, p.vision_end_token_id}) {
    if (p.vocab != 0 && id.has_value() && static_cast<std::uint32_t>(*id) >= p.vocab)
      return contradiction("params: a picture token's id and vocab",
                           static_cast<std::uint32_t>(*id), p.vocab);
  }
  return {};
}

Status check_vision(const Vision& vision) {
  const std::uint64_t block = std::uint64_t{vision.patch} * vision.merge;
  for (const std::uint32_t side : {vision.width, vision.height}) {
    if (side % block != 0)
      return corrupt("vision.image: " + std::to_string(side) +
                     " is no multiple of patch * merge (" + std::to_string(block) + ")");
  }
  return {};
}

Status check_files(const Artifacts& artifacts) {
  for (const auto& [file, record] : artifacts.files) {
    if (record.block_xxh3.empty()) continue;
    const std::uint64_t block = record.block_bytes;
    const std::uint64_t blocks =
        block == 0 ? 0 : record.bytes / block + (record.bytes % block != 0 ? 1 : 0);
    if (blocks != record.block_xxh3.size())
      return contradiction("artifacts.files." + file + ": blocks of its size and block_xxh3",
                           blocks, record.block_xxh3.size());
  }
  return {};
}

Result<Manifest> read(std::string_view text) {
  if (text.size() > kMaxBytes) return out_of_range("larger than 16 MiB");
  Manifest manifest;
  QHX_ASSIGN_OR_RETURN(manifest.source, parse_json(text));
  if (!manifest.source.is_object()) return corrupt("expected a JSON object");
  Status status;
  Reader reader(&manifest.source, "", status);
  describe(reader, manifest);
  QHX_RETURN_IF_ERROR(status);
  QHX_RETURN_IF_ERROR(check_params(manifest.params));
  if (manifest.vision.has_value()) QHX_RETURN_IF_ERROR(check_vision(*manifest.vision));
  QHX_RETURN_IF_ERROR(check_files(manifest.artifacts));
  std::erase_if(manifest.artifacts.files,
                [](const auto& item) { return item.second == FileRecord{}; });
  return manifest;
}

// Whether a file wants to be a manifest: other programs' JSON lies in bundles too.
bool looks_like_manifest(const std::filesystem::path& path) {
  if (path.extension() != ".json" || path.filename() == kVerifiedFile) return false;
  const auto text = read_file(path, kMaxBytes);
  return text.ok() && text->find("\"schema_version\"") != std::string::npos;
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view json, std::string_view name) {
  return read(json).with_context(name);
}

Result<Manifest> load_manifest(const std::filesystem::path& path) {
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxBytes));
  return parse_manifest(text, path.filename().string());
}

Result<std::vector<std::filesystem::path>> manifests_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (looks_like_manifest(entry.path())) found.push_back(entry.path());
  }
  if (error) return not_found(folder.string() + ": cannot list: " + error.message());
  if (found.empty())
    return not_found(folder.string() +
                     ": holds no manifest (a .json file with \"schema_version\"): no bundle");
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::pair<std::string, std::string>> named_files(const Artifacts& artifacts) {
  std::vector<std::pair<std::string, std::string>> named;
  for (const auto& [role, file] : artifacts.contexts)
    named.emplace_back("artifacts.contexts." + role + ".bin", file);
  const std::pair<const char*, const std::string&> single[] = {
      {"artifacts.embed", artifacts.embed},
      {"artifacts.tokenizer", artifacts.tokenizer},
      {"artifacts.patch_embed", artifacts.patch_embed},
      {"artifacts.patch_embed_bias", artifacts.patch_embed_bias},
      {"artifacts.pos_embed", artifacts.pos_embed}};
  for (const auto& [key, file] : single) {
    if (!file.empty()) named.emplace_back(key, file);
  }
  return named;
}

nlohmann::ordered_json print_manifest(const Manifest& manifest) {
  Manifest copy = manifest;
  Writer writer(&manifest.source);
  describe(writer, copy);
  return writer.take();
}

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  Manifest empty;
  KeyLister lister("", keys);
  describe(lister, empty);
  return keys;
}

}  // namespace qhx::manifest
