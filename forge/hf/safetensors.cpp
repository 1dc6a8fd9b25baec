#include "forge/hf/safetensors.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/f16.h"
#include "base/file.h"
#include "forge/hf/json_text.h"

namespace qhx::hf {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr std::size_t kLengthBytes = 8;
// The limit of the format's own library.
constexpr std::size_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kMaxRank = 16;

struct TypeName {
  std::string_view name;
  DType type;
};
constexpr TypeName kTypes[] = {{"F32", DType::kF32}, {"F16", DType::kF16},  {"BF16", DType::kBF16},
                               {"I8", DType::kI8},   {"U8", DType::kU8},    {"I16", DType::kI16},
                               {"U16", DType::kU16}, {"I32", DType::kI32},  {"U32", DType::kU32},
                               {"I64", DType::kI64}, {"BOOL", DType::kBool}};

Result<DType> parse_dtype(const Json& value) {
  if (!value.is_string()) return corrupt("dtype: expected a string");
  const auto& text = value.get_ref<const std::string&>();
  for (const TypeName& entry : kTypes) {
    if (entry.name == text) return entry.type;
  }
  return unsupported("dtype " + text +
                     ": only F32, F16, BF16, 8 to 64-bit integers and BOOL are read");
}

Result<std::size_t> parse_size(const Json& value, std::string_view what) {
  if (!value.is_number_unsigned()) {
    return corrupt(std::string(what) + ": expected a number of at least 0, found " +
                   short_dump(value));
  }
  return value.get<std::size_t>();
}

Result<std::vector<std::size_t>> parse_sizes(const Json& value, std::string_view what) {
  if (!value.is_array() || value.size() > kMaxRank) {
    return corrupt(std::string(what) + ": expected a list of at most " + std::to_string(kMaxRank) +
                   " numbers");
  }
  std::vector<std::size_t> sizes;
  for (const Json& item : value) {
    QHX_ASSIGN_OR_RETURN(const std::size_t size, parse_size(item, what));
    sizes.push_back(size);
  }
  return sizes;
}

// product(shape) * element size; kCorrupt if it does not fit.
Result<std::size_t> bytes_of(std::span<const std::size_t> shape, DType type) {
  std::size_t bytes = size_bytes(type);
  for (const std::size_t extent : shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      return corrupt("shape " + shape_text(shape) + " overflows");
    }
  }
  return bytes;
}

Result<TensorEntry> parse_entry(const Json& value, std::size_t data_bytes) {
  if (!value.is_object()) return corrupt("expected an object");
  for (const char* field : {"dtype", "shape", "data_offsets"}) {
    if (!value.contains(field)) return corrupt(std::string(field) + " is missing");
  }
  TensorEntry entry;
  QHX_ASSIGN_OR_RETURN(entry.dtype, parse_dtype(value["dtype"]));
  QHX_ASSIGN_OR_RETURN(entry.shape, parse_sizes(value["shape"], "shape"));
  QHX_ASSIGN_OR_RETURN(const auto offsets, parse_sizes(value["data_offsets"], "data_offsets"));
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] > data_bytes) {
    return corrupt("data_offsets: expected begin <= end <= " + std::to_string(data_bytes) +
                   ", found " + short_dump(value["data_offsets"]));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  QHX_ASSIGN_OR_RETURN(const std::size_t bytes, bytes_of(entry.shape, entry.dtype));
  if (bytes != entry.end - entry.begin) {
    return corrupt("shape " + shape_text(entry.shape) + " takes " + std::to_string(bytes) +
                   " bytes, data_offsets give " + std::to_string(entry.end - entry.begin));
  }
  return entry;
}

Status check_overlaps(const SafetensorsHeader& header) {
  std::vector<std::pair<const TensorEntry*, std::string_view>> order;
  for (const auto& [name, entry] : header.tensors) {
    if (entry.begin != entry.end) order.emplace_back(&entry, name);
  }
  std::sort(order.begin(), order.end(),
            [](const auto& a, const auto& b) { return a.first->begin < b.first->begin; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i].first->begin < order[i - 1].first->end) {
      return corrupt("tensors " + std::string(order[i - 1].second) + " and " +
                     std::string(order[i].second) + " overlap");
    }
  }
  return {};
}

// The distinct shard names of an index file, in byte order.
Result<std::set<std::string>> shard_names(const Json& index) {
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return corrupt("weight_map: expected an object");
  }
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string()) return corrupt("weight_map." + tensor + ": expected a file name");
    shards.insert(shard.get<std::string>());
  }
  return shards;
}

template <typename Convert>
void convert_halves(const std::byte* from, std::span<float> out, Convert convert) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t half;
    std::memcpy(&half, from + i * sizeof half, sizeof half);
    out[i] = convert(half);
  }
}

}  // namespace

std::string shape_text(std::span<const std::size_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) {
    return corrupt("not a safetensors file: " + std::to_string(file.size()) + " bytes");
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  }
  const std::size_t room = std::min(file.size() - kLengthBytes, kMaxHeaderBytes);
  if (length > room) {
    return corrupt("header length: expected at most " + std::to_string(room) + ", found " +
                   std::to_string(length));
  }
  SafetensorsHeader header;
  header.data_offset = kLengthBytes + length;
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  QHX_ASSIGN_OR_RETURN(const Json root, parse_json(text));
  if (!root.is_object()) return corrupt("header: expected a JSON object");
  for (const auto& [name, value] : root.items()) {
    if (name == "__metadata__") continue;
    auto entry = parse_entry(value, file.size() - header.data_offset);
    if (!entry.ok()) return entry.status().with_context("tensor " + name);
    header.tensors.emplace(name, std::move(entry).value());
  }
  QHX_RETURN_IF_ERROR(check_overlaps(header));
  return header;
}

Status Checkpoint::add_shard(const fs::path& file) {
  QHX_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(file));
  auto header = parse_safetensors(mapped.bytes());
  if (!header.ok()) return header.status().with_context(file.string());
  shards_.push_back({file, std::move(mapped), std::move(header).value()});
  for (const auto& [name, entry] : shards_.back().header.tensors) {
    const auto [place, added] = places_.emplace(name, Place{shards_.size() - 1, &entry});
    if (!added) {
      return corrupt("tensor " + name + " is in both " +
                     shards_[place->second.shard].path.string() + " and " + file.string());
    }
  }
  return {};
}

Result<Checkpoint> Checkpoint::open_sharded(const fs::path& folder, const fs::path& index) {
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(index, kMaxHeaderBytes));
  auto root = parse_json(text);
  if (!root.ok()) return root.status().with_context(index.string());
  auto shards = shard_names(*root);
  if (!shards.ok()) return shards.status().with_context(index.string());
  Checkpoint checkpoint;
  checkpoint.path_ = folder;
  for (const std::string& shard : *shards) {
    auto file = path_inside(folder, shard);
    if (!file.ok()) return file.status().with_context(index.string());
    QHX_RETURN_IF_ERROR(checkpoint.add_shard(*file));
  }
  for (const auto& [tensor, shard] : (*root)["weight_map"].items()) {
    const auto place = checkpoint.places_.find(tensor);
    if (place == checkpoint.places_.end()) {
      return corrupt(index.string() + ": tensor " + tensor + " is not in " +
                     shard.get<std::string>());
    }
  }
  return checkpoint;
}

Result<Checkpoint> Checkpoint::open(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    const fs::path index = path / "model.safetensors.index.json";
    if (fs::exists(index, error)) return open_sharded(path, index);
    if (!fs::exists(path / "model.safetensors", error)) {
      return not_found(
          path.string() +
          ": has neither model.safetensors nor model.safetensors.index.json; expected a "
          "Hugging Face checkpoint folder");
    }
  }
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  const bool folder = fs::is_directory(path, error);
  QHX_RETURN_IF_ERROR(checkpoint.add_shard(folder ? path / "model.safetensors" : path));
  return checkpoint;
}

Result<TensorView> Checkpoint::find(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end())
    return not_found(path_.string() + ": has no tensor " + std::string(name));
  const Shard& shard = shards_[found->second.shard];
  const TensorEntry& entry = *found->second.entry;
  return TensorView{
      found->first, entry.dtype, entry.shape,
      shard.file.bytes().subspan(shard.header.data_offset + entry.begin, entry.end - entry.begin)};
}

Result<TensorView> Checkpoint::find(std::string_view name,
                                    std::span<const std::size_t> shape) const {
  QHX_ASSIGN_OR_RETURN(const TensorView tensor, find(name));
  if (!std::ranges::equal(tensor.shape, shape)) {
    return corrupt(path_.string() + ": tensor " + std::string(name) + ": expected shape " +
                   shape_text(shape) + ", found " + shape_text(tensor.shape));
  }
  return tensor;
}

std::vector<std::string_view> Checkpoint::names() const {
  std::vector<std::string_view> names;
  for (const auto& [name, place] : places_) names.push_back(name);
  return names;
}

std::size_t Checkpoint::size_bytes() const {
  std::size_t bytes = 0;
  for (const Shard& shard : shards_) bytes += shard.file.size();
  return bytes;
}

void Checkpoint::drop_resident(const TensorView& tensor) const {
  const auto found = places_.find(tensor.name);
  QHX_CHECK(found != places_.end());
  const Shard& shard = shards_[found->second.shard];
  shard.file.drop_resident(shard.header.data_offset + found->second.entry->begin,
                           tensor.bytes.size());
}

void Checkpoint::drop_resident() const {
  for (const Shard& shard : shards_) shard.file.drop_resident(0, shard.file.size());
}

Status read_f32(const TensorView& tensor, std::size_t first_row, std::size_t row_count,
                std::span<float> out) {
  if (first_row > tensor.rows() || row_count > tensor.rows() - first_row) {
    return out_of_range("tensor " + std::string(tensor.name) + ": rows " +
                        std::to_string(first_row) + " to " + std::to_string(first_row + row_count) +
                        " asked for, it has " + std::to_string(tensor.rows()));
  }
  QHX_CHECK(out.size() == row_count * tensor.row_size());
  if (out.empty()) return {};
  const std::byte* from =
      tensor.bytes.data() + first_row * tensor.row_size() * qhx::size_bytes(tensor.dtype);
  switch (tensor.dtype) {
    case DType::kF32:
      std::memcpy(out.data(), from, out.size_bytes());
      return {};
    case DType::kF16:
      convert_halves(from, out, [](std::uint16_t half) { return f16_to_f32(half); });
      return {};
    case DType::kBF16:
      convert_halves(from, out, [](std::uint16_t half) { return bf16_to_f32(half); });
      return {};
    default:
      return unsupported("tensor " + std::string(tensor.name) +
                         ": expected F32, F16 or BF16, found " + std::string(name(tensor.dtype)));
  }
}

Result<std::vector<float>> read_f32(const TensorView& tensor) {
  std::vector<float> values(tensor.element_count());
  QHX_RETURN_IF_ERROR(read_f32(tensor, 0, tensor.rows(), values));
  return values;
}

}  // namespace qhx::hf
