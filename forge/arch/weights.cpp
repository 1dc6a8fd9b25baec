#include "forge/arch/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

#include "base/check.h"
#include "base/f16.h"
#include "forge/quant/quantize.h"
#include "forge/quant/rounded_weights.h"

namespace qhx::forge {
namespace {

// Rows that one piece of work converts: as many as fill a cache line of transposed int8.
constexpr std::size_t kBlockRows = 64;
// Columns of a transposition tile: 64 rows x 64 columns stay in the first-level cache.
constexpr std::size_t kTileColumns = 64;

// from [rows, columns] -> to [columns, stride], at column `first`.
template <typename T>
void transpose(const T* from, std::size_t rows, std::size_t columns, T* to, std::size_t stride,
               std::size_t first) {
  for (std::size_t c0 = 0; c0 < columns; c0 += kTileColumns) {
    const std::size_t c1 = std::min(c0 + kTileColumns, columns);
    for (std::size_t c = c0; c < c1; ++c) {
      T* out = to + c * stride + first;
      for (std::size_t r = 0; r < rows; ++r) out[r] = from[r * columns + c];
    }
  }
}

void scale_by_power(std::span<float> values, int exponent) {
  if (exponent == 0) return;
  const float factor = std::ldexp(1.0f, exponent);
  for (float& value : values) value *= factor;
}

// Converts blocks of rows of one matrix into its place in a LinearWeight. One object for each
// matrix; block() is called from many threads on different blocks.
class MatrixConverter {
 public:
  // `rounded` may be null; what it has of the matrix is taken as it is.
  MatrixConverter(const hf::TensorView& source, RowRange rows, WeightFormat format, int exponent,
                  const quant::RoundedWeights* rounded, LinearWeight& to)
      : source_(source),
        rows_(rows),
        format_(format),
        rounded_(rounded),
        exponent_(exponent),
        to_(to),
        in_(source.row_size()) {}

  std::size_t blocks() const { return (rows_.count + kBlockRows - 1) / kBlockRows; }

  void block(std::size_t index) {
    const std::size_t first = index * kBlockRows;
    const std::size_t count = std::min(kBlockRows, rows_.count - first);
    if (rounded_ != nullptr) return rounded_block(first, count);
    std::vector<float> w(count * in_);
    Status status = hf::read_f32(source_, rows_.first + first, count, w);
    scale_by_power(w, exponent_);
    if (status.ok()) status = check_values(w, format_, (rows_.first + first) * in_);
    if (!status.ok()) return fail(std::move(status));
    if (format_ == WeightFormat::kF16) {
      std::vector<std::uint16_t> halves(w.size());
      f32_to_f16(w, halves);
      transpose(halves.data(), count, in_, to_.bytes.as<std::uint16_t>().data(), rows_.count,
                first);
    } else {
      std::vector<std::int8_t> q(w.size());
      quantize(w, first, count, q);
      transpose(q.data(), count, in_, to_.bytes.as<std::int8_t>().data(), rows_.count, first);
    }
  }

  const Status& status() const { return status_; }

 private:
  void rounded_block(std::size_t first, std::size_t count) {
    std::vector<std::int8_t> q(count * in_);
    const std::size_t groups = in_ / to_.group;
    const std::span<float> scales(to_.scales.data() + first * groups, count * groups);
    Status status =
        rounded_->read(source_.name, {source_.rows(), in_, rows_.first + first, count}, q, scales);
    if (!status.ok()) return fail(std::move(status));
    // Exact, but for scales that become subnormal as 16-bit floats.
    scale_by_power(scales, exponent_);
    for (float& scale : scales) scale = scale > 0 ? quant::group_scale(scale) : 0;
    transpose(q.data(), count, in_, to_.bytes.as<std::int8_t>().data(), rows_.count, first);
  }

  void quantize(std::span<const float> w, std::size_t first, std::size_t count,
                std::span<std::int8_t> q) {
    if (format_ == WeightFormat::kW8)
      return quant::quantize_per_channel(w.data(), count, in_, q.data(), to_.scales.data() + first);
    float* scales = to_.scales.data() + first * (in_ / to_.group);
    quant::quantize_grouped_4bit(w.data(), count, in_, to_.group, q.data(), scales);
  }

  void fail(Status status) {
    const std::lock_guard lock(mutex_);
    if (status_.ok()) status_ = std::move(status);
  }

  const hf::TensorView& source_;
  RowRange rows_;
  WeightFormat format_;
  const quant::RoundedWeights* rounded_;
  int exponent_;
  LinearWeight& to_;
  std::size_t in_;
  std::mutex mutex_;
  Status status_;
};

// Resolves count 0 and refuses rows that are not there.
Result<RowRange> resolve(RowRange rows, const hf::TensorView& tensor) {
  const std::size_t available = tensor.rows();
  if (rows.first >= available || rows.count > available - rows.first) {
    return out_of_range("rows " + std::to_string(rows.first) + " to " +
                        std::to_string(rows.first + rows.count) + " of " +
                        std::to_string(available));
  }
  if (rows.count == 0) rows.count = available - rows.first;
  return rows;
}

// A part of a tensor gets a name of its own: names are unique in a graph.
std::string part_name(const std::string& name, RowRange rows, const hf::TensorView& tensor) {
  if (rows.count == tensor.rows()) return name;
  return name + "[" + std::to_string(rows.first) + ":" + std::to_string(rows.first + rows.count) +
         "]";
}

}  // namespace

qnn::Encoding LinearWeight::encoding() const {
  using Kind = qnn::Encoding::Kind;
  if (scales.empty()) return {};
  if (group != 0) return {.kind = Kind::kGroup4, .axis = 0, .group = group, .scales = scales};
  const auto channels = static_cast<std::int32_t>(dims.size() - 1);
  return {.kind = Kind::kPerChannel, .axis = channels, .group = 0, .scales = scales};
}

LinearWeight LinearWeight::part(RowRange of_inputs) const {
  QHX_CHECK(of_inputs.first + of_inputs.count <= inputs());
  LinearWeight out;
  out.name = name + "[:, " + std::to_string(of_inputs.first) + ":" +
             std::to_string(of_inputs.first + of_inputs.count) + "]";
  out.dims = {1, 1, static_cast<std::uint32_t>(of_inputs.count), outputs()};
  out.type = type;
  const std::size_t row = bytes.size() / inputs();  // of one input's values
  out.bytes = AlignedBuffer(of_inputs.count * row);
  std::copy_n(bytes.data() + of_inputs.first * row, out.bytes.size(), out.bytes.data());
  out.group = group;
  if (group == 0) {
    out.scales = scales;
    return out;
  }
  QHX_CHECK(of_inputs.first % group == 0 && of_inputs.count % group == 0);
  const std::size_t groups = inputs() / group, first = of_inputs.first / group;
  for (std::size_t n = 0; n < outputs(); ++n) {
    const auto from = scales.begin() + static_cast<std::ptrdiff_t>(n * groups + first);
    out.scales.insert(out.scales.end(), from,
                      from + static_cast<std::ptrdiff_t>(of_inputs.count / group));
  }
  return out;
}

Status check_values(std::span<const float> values, WeightFormat format, std::size_t first_index) {
  // 65520 and above round to infinity; NaN fails every comparison, so the test is for what is fine.
  float limit = INFINITY;
  if (format == WeightFormat::kF16) limit = 65520.0f;
  if (format == WeightFormat::kW4) limit = quant::kMostGrouped4;
  bool fine = true;
  for (const float v : values) fine &= std::abs(v) < limit;
  if (fine) return {};
  const auto bad =
      std::find_if(values.begin(), values.end(), [&](float v) { return !(std::abs(v) < limit); });
  const std::string what =
      "element " + std::to_string(first_index + static_cast<std::size_t>(bad - values.begin())) +
      " is " + std::to_string(*bad);
  if (!std::isfinite(*bad)) return corrupt(what + "; a finite number is needed");
  if (format == WeightFormat::kW4)
    return out_of_range(what + ", beyond what 4 bits with a 16-bit float scale hold (458528)");
  return out_of_range(what + ", beyond the largest 16-bit float (65504)");
}

Result<VectorWeight> make_vector(std::string name, qnn::Dims dims, Qnn_DataType_t activation,
                                 std::span<const float> values) {
  const bool half = activation == QNN_DATATYPE_FLOAT_16;
  QHX_RETURN_IF_ERROR(check_values(values, half ? WeightFormat::kF16 : WeightFormat::kF32, 0)
                          .with_context("tensor " + name));
  VectorWeight out{std::move(name), std::move(dims), activation, {}};
  if (half) {
    std::vector<std::uint16_t> halves(values.size());
    f32_to_f16(values, halves);
    const auto bytes = std::as_bytes(std::span(halves));
    out.bytes.assign(bytes.begin(), bytes.end());
  } else {
    const auto bytes = std::as_bytes(values);
    out.bytes.assign(bytes.begin(), bytes.end());
  }
  return out;
}

Result<LinearWeight> WeightLoader::matrix(const std::string& name, RowRange rows,
                                          int exponent) const {
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint_.find(name));
  QHX_ASSIGN_OR_RETURN(rows, resolve(rows, tensor).with_context("tensor " + name));
  const std::size_t in = tensor.row_size();
  const WeightFormat format = plan_.of(name, in);
  LinearWeight out;
  out.name = part_name(name, rows, tensor);
  out.dims = {1, 1, static_cast<std::uint32_t>(in), static_cast<std::uint32_t>(rows.count)};
  const bool half = format == WeightFormat::kF16, grouped = format == WeightFormat::kW4;
  out.type = half ? QNN_DATATYPE_FLOAT_16 : QNN_DATATYPE_SFIXED_POINT_8;
  out.bytes = AlignedBuffer(in * rows.count * (half ? 2 : 1));
  if (grouped) out.group = quant::kGroupSize;
  if (!half) out.scales.resize(rows.count * (out.group == 0 ? 1 : in / out.group));
  MatrixConverter converter(tensor, rows, format, exponent, grouped ? plan_.rounded(name) : nullptr,
                            out);
  pool_.run(converter.blocks(), [&](std::size_t i) { converter.block(i); });
  QHX_RETURN_IF_ERROR(converter.status().with_context("tensor " + name));
  checkpoint_.drop_resident(tensor);
  QHX_RETURN_IF_ERROR(progress_(in * rows.count));
  return out;
}

Result<Linear> WeightLoader::linear(const std::string& prefix, RowRange rows, int exponent) const {
  QHX_ASSIGN_OR_RETURN(LinearWeight weight, matrix(prefix + ".weight", rows, exponent));
  return Linear{std::move(weight), std::nullopt};
}

Result<Linear> WeightLoader::linear_with_bias(const std::string& prefix, RowRange rows,
                                              PowersOfTwo exponents) const {
  QHX_ASSIGN_OR_RETURN(Linear out, linear(prefix, rows, exponents.weight));
  QHX_ASSIGN_OR_RETURN(out.bias, vector(prefix + ".bias", rows, exponents.bias));
  return out;
}

Result<VectorWeight> WeightLoader::vector(const std::string& name, RowRange rows,
                                          int exponent) const {
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint_.find(name));
  QHX_ASSIGN_OR_RETURN(rows, resolve(rows, tensor).with_context("tensor " + name));
  std::vector<float> values(rows.count * tensor.row_size());
  QHX_RETURN_IF_ERROR(hf::read_f32(tensor, rows.first, rows.count, values));
  scale_by_power(values, exponent);
  QHX_RETURN_IF_ERROR(progress_(values.size()));
  return make_vector(part_name(name, rows, tensor), {static_cast<std::uint32_t>(values.size())},
                     activation_, values);
}

Result<Norm> WeightLoader::norm(const std::string& prefix, int exponent) const {
  QHX_ASSIGN_OR_RETURN(VectorWeight gamma, vector(prefix + ".weight", {}, exponent));
  QHX_ASSIGN_OR_RETURN(VectorWeight beta, vector(prefix + ".bias", {}, exponent));
  return Norm{std::move(gamma), std::move(beta)};
}

}  // namespace qhx::forge
