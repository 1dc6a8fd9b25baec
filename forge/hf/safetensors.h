// Weights of a Hugging Face folder, mapped and never copied: `model.safetensors` alone, or the
// shards that `model.safetensors.index.json` lists.
//
// The format: 8 bytes little-endian header length, a JSON object {name: {dtype, shape,
// data_offsets: [begin, end]}}, then the data the offsets refer to. Everything is checked when
// opened: lengths, JSON, offsets inside the file, byte counts against shapes, overlaps, names given
// twice, shards inside the folder. Later lookups only can fail with kNotFound.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/mapped_file.h"
#include "base/status.h"

namespace qhx::hf {

// A tensor in a mapped file, row-major. Valid while the Checkpoint that gave it lives. `bytes` may
// not be aligned to the element size: read values with read_f32() or memcpy.
struct TensorView {
  std::string_view name;
  DType dtype = DType::kF32;
  std::span<const std::size_t> shape;
  std::span<const std::byte> bytes;

  std::size_t element_count() const { return bytes.size() / size_bytes(dtype); }
  // Extent of the first axis; a scalar has one row.
  std::size_t rows() const { return shape.empty() ? 1 : shape[0]; }
  // Elements of one row: the product of the other axes.
  std::size_t row_size() const { return rows() == 0 ? 0 : element_count() / rows(); }
};

// "[4096, 1024]".
std::string shape_text(std::span<const std::size_t> shape);

// One tensor's place, as a header describes it; offsets count from the start of the data part.
struct TensorEntry {
  DType dtype = DType::kF32;
  std::vector<std::size_t> shape;
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The header of one safetensors file held in memory. `data_offset` is where its data part begins.
struct SafetensorsHeader {
  std::map<std::string, TensorEntry, std::less<>> tensors;
  std::size_t data_offset = 0;
};

// Reads and checks the header of a whole file's bytes. kCorrupt for damage, kUnsupported for an
// element type we do not read (8-bit floats, for one); the message names the tensor, not the file.
Result<SafetensorsHeader> parse_safetensors(std::span<const std::byte> file);

// The tensors of a checkpoint. Move-only; const member functions may be called from any thread.
class Checkpoint {
 public:
  // `path` is a folder (an index is preferred if there is one) or one .safetensors file.
  static Result<Checkpoint> open(const std::filesystem::path& path);

  Checkpoint(Checkpoint&&) noexcept = default;
  Checkpoint& operator=(Checkpoint&&) noexcept = default;

  bool contains(std::string_view name) const { return places_.find(name) != places_.end(); }
  // kNotFound names the tensor and the checkpoint.
  Result<TensorView> find(std::string_view name) const;
  // find(), and kCorrupt with both shapes unless the shape is `shape`.
  Result<TensorView> find(std::string_view name, std::span<const std::size_t> shape) const;

  // In byte order.
  std::vector<std::string_view> names() const;
  const std::filesystem::path& path() const { return path_; }
  std::size_t size_bytes() const;

  // Lets go of the pages under a tensor, or of all of them: a pass over a large checkpoint stays
  // small. Reading again maps them back.
  void drop_resident(const TensorView& tensor) const;
  void drop_resident() const;

 private:
  struct Shard {
    std::filesystem::path path;
    MappedFile file;
    SafetensorsHeader header;
  };
  struct Place {
    std::size_t shard = 0;
    const TensorEntry* entry = nullptr;
  };
  Checkpoint() = default;
  Status add_shard(const std::filesystem::path& file);
  static Result<Checkpoint> open_sharded(const std::filesystem::path& folder,
                                         const std::filesystem::path& index);

  std::filesystem::path path_;
  std::vector<Shard> shards_;
  std::map<std::string_view, Place, std::less<>> places_;  // keys point into the shards' headers
};

// Converts rows [first_row, first_row + row_count) of an F32, F16 or BF16 tensor to float; `out`
// holds row_count * tensor.row_size() elements (QHX_CHECK). Exact. kUnsupported for other types,
// kOutOfRange for rows that the tensor does not have.
Status read_f32(const TensorView& tensor, std::size_t first_row, std::size_t row_count,
                std::span<float> out);
// The whole tensor.
Result<std::vector<float>> read_f32(const TensorView& tensor);

}  // namespace qhx::hf
