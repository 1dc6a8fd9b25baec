#include "forge/quant/rounded_weights.h"

#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/f16.h"
#include "forge/quant/weight_plan.h"

namespace qhx::quant {
namespace {

constexpr const char* kIntegers = ".q";
constexpr const char* kScales = ".scales";

std::int8_t sign_extend(unsigned half_byte) {
  return static_cast<std::int8_t>(static_cast<int>(half_byte ^ 8u) - 8);
}

// A tensor of the file with this shape and type, its rows [first, first + count).
Result<std::span<const std::byte>> rows_of(const hf::Checkpoint& file, const std::string& name,
                                           DType type, std::size_t columns,
                                           const RoundedWeights::Rows& rows) {
  const std::size_t shape[] = {rows.out, columns};
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, file.find(name, shape));
  if (tensor.dtype != type) {
    return corrupt(file.path().string() + ": tensor " + name + ": expected " +
                   std::string(qhx::name(type)) + ", found " +
                   std::string(qhx::name(tensor.dtype)));
  }
  const std::size_t row_bytes = columns * size_bytes(type);
  return tensor.bytes.subspan(rows.first * row_bytes, rows.count * row_bytes);
}

}  // namespace

Result<std::shared_ptr<const RoundedWeights>> RoundedWeights::open(
    const std::filesystem::path& file) {
  QHX_ASSIGN_OR_RETURN(hf::Checkpoint opened, hf::Checkpoint::open(file));
  return std::shared_ptr<const RoundedWeights>(new RoundedWeights(std::move(opened)));
}

bool RoundedWeights::contains(std::string_view tensor) const {
  return file_.contains(std::string(tensor) + kIntegers);
}

Status RoundedWeights::read(std::string_view tensor, const Rows& rows, std::span<std::int8_t> q,
                            std::span<float> scales) const {
  const std::string name(tensor);
  const std::size_t groups = rows.in / kGroupSize;
  QHX_CHECK(rows.in % kGroupSize == 0 && rows.first <= rows.out &&
            rows.count <= rows.out - rows.first);
  QHX_CHECK(q.size() == rows.count * rows.in && scales.size() == rows.count * groups);
  QHX_ASSIGN_OR_RETURN(const auto packed,
                       rows_of(file_, name + kIntegers, DType::kU8, rows.in / 2, rows));
  QHX_ASSIGN_OR_RETURN(const auto halves,
                       rows_of(file_, name + kScales, DType::kF16, groups, rows));
  const auto bad = [&](const char* part, std::size_t index, const std::string& what) {
    return corrupt(file_.path().string() + ": tensor " + name + part + ": element " +
                   std::to_string(index) + " of row " + std::to_string(rows.first) +
                   " on: " + what);
  };
  for (std::size_t i = 0; i < packed.size(); ++i) {
    const auto byte = std::to_integer<unsigned>(packed[i]);
    q[2 * i] = sign_extend(byte & 15u);
    q[2 * i + 1] = sign_extend(byte >> 4);
    if (q[2 * i] == -8 || q[2 * i + 1] == -8)
      return bad(kIntegers, 2 * i, "expected -7 to 7, found -8");
  }
  for (std::size_t i = 0; i < scales.size(); ++i) {
    std::uint16_t half = 0;
    std::memcpy(&half, halves.data() + i * sizeof half, sizeof half);
    scales[i] = f16_to_f32(half);
    if (!(scales[i] >= 0) || !std::isfinite(scales[i]))
      return bad(kScales, i, "expected a finite scale of at least 0");
  }
  return {};
}

Result<RoundedWriter> RoundedWriter::create(const std::filesystem::path& file,
                                            std::span<const Matrix> matrices) {
  std::vector<hf::NewTensor> tensors;
  for (const Matrix& matrix : matrices) {
    tensors.push_back({matrix.name + kIntegers, DType::kU8, {matrix.out, matrix.in / 2}});
    tensors.push_back({matrix.name + kScales, DType::kF16, {matrix.out, matrix.in / kGroupSize}});
  }
  QHX_ASSIGN_OR_RETURN(auto writer,
                       hf::SafetensorsWriter::create(file, std::move(tensors),
                                                     {{"format", "qhexrt 4-bit groups of 32"}}));
  return RoundedWriter(std::move(writer));
}

Status RoundedWriter::write(const std::string& name, std::span<const std::uint8_t> packed,
                            std::span<const std::uint16_t> scales) {
  QHX_RETURN_IF_ERROR(file_.write(name + kIntegers, std::as_bytes(packed)));
  return file_.write(name + kScales, std::as_bytes(scales));
}

void pack_4bit(std::span<const std::int8_t> q, std::span<std::uint8_t> packed) {
  QHX_CHECK(q.size() == 2 * packed.size());
  for (std::size_t i = 0; i < packed.size(); ++i) {
    packed[i] = static_cast<std::uint8_t>((static_cast<unsigned>(q[2 * i]) & 15u) |
                                          (static_cast<unsigned>(q[2 * i + 1]) & 15u) << 4);
  }
}

}  // namespace qhx::quant
