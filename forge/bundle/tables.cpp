#include "forge/bundle/tables.h"

#include <algorithm>

#include "base/f16.h"
#include "base/file.h"
#include "base/hash.h"
#include "forge/arch/weights.h"

namespace qhx::forge {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 20;

}  // namespace

Result<manifest::FileRecord> write_f16_table(const hf::Checkpoint& checkpoint,
                                             const std::string& name,
                                             const std::filesystem::path& file,
                                             const std::function<Status(std::size_t)>& progress) {
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint.find(name));
  QHX_ASSIGN_OR_RETURN(AtomicFile out, AtomicFile::create(file));
  const std::size_t width = tensor.row_size();
  const std::size_t block_rows = std::max<std::size_t>(1, kBlockBytes / (width * 2));
  std::vector<float> values(block_rows * width);
  std::vector<std::uint16_t> halves(values.size());
  manifest::FileRecord record;
  record.block_bytes = halves.size() * 2;
  for (std::size_t row = 0; row < tensor.rows(); row += block_rows) {
    const std::size_t rows = std::min(block_rows, tensor.rows() - row);
    const std::span block(values.data(), rows * width);
    QHX_RETURN_IF_ERROR(hf::read_f32(tensor, row, rows, block));
    QHX_RETURN_IF_ERROR(
        check_values(block, WeightFormat::kF16, row * width).with_context("tensor " + name));
    const std::span block16(halves.data(), block.size());
    f32_to_f16(block, block16);
    record.block_xxh3.push_back(xxh3_64(std::as_bytes(block16)));
    QHX_RETURN_IF_ERROR(out.write(std::as_bytes(block16)));
    QHX_RETURN_IF_ERROR(progress(block.size()));
  }
  checkpoint.drop_resident(tensor);
  record.bytes = out.size_bytes();
  QHX_RETURN_IF_ERROR(out.commit());
  return record;
}

Status write_f32_table(const hf::Checkpoint& checkpoint, const std::string& name,
                       const std::filesystem::path& file) {
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint.find(name));
  QHX_ASSIGN_OR_RETURN(const std::vector<float> values, hf::read_f32(tensor));
  QHX_RETURN_IF_ERROR(check_values(values, WeightFormat::kF32, 0).with_context("tensor " + name));
  return write_file(file, std::as_bytes(std::span(values)));
}

}  // namespace qhx::forge
