#include "graph/ir.h"

#include <limits>

namespace qhx::cpu {
namespace {

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t to) {
  return (value + to - 1) / to * to;
}

}  // namespace

std::uint64_t PackedFormat::scales_offset() const {
  return round_up(packed_bytes(type, n, k), AlignedBuffer::kAlignment);
}

std::uint64_t PackedFormat::size_bytes() const {
  const bool scaled = type == WeightType::kI8 || type == WeightType::kI4;
  return scales_offset() + (scaled ? packed_scales(n, k, group) * scale_size(group) : 0);
}

std::uint64_t Tensor::elements() const { return element_count(dims); }

const std::vector<std::int64_t>* Attributes::list(std::string_view name) const {
  const auto it = ints.find(name);
  return it == ints.end() ? nullptr : &it->second;
}

std::int64_t Attributes::integer(std::string_view name, std::int64_t otherwise) const {
  const auto* values = list(name);
  return values == nullptr || values->empty() ? otherwise : values->front();
}

double Attributes::number(std::string_view name, double otherwise) const {
  const auto it = floats.find(name);
  return it == floats.end() ? otherwise : it->second;
}

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(dims[i]);
  }
  return text + "]";
}

std::uint64_t element_count(const Dims& dims) {
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 63;
  std::uint64_t count = 1;
  for (const std::uint32_t dim : dims) {
    if (dim != 0 && count > kLimit / dim) return kLimit;
    count *= dim;
  }
  return count;
}

Status check_dims(const Dims& dims, DType dtype, std::string_view what) {
  const std::string label(what);
  if (dims.empty() || dims.size() > kMaxRank) {
    return invalid_argument(label + ": expected rank 1 to " + std::to_string(kMaxRank) +
                            ", found " + std::to_string(dims.size()));
  }
  for (const std::uint32_t dim : dims) {
    if (dim == 0) return invalid_argument(label + ": a dimension is 0 in " + to_string(dims));
  }
  if (element_count(dims) > kMaxTensorBytes / size_bytes(dtype)) {
    return invalid_argument(label + ": " + to_string(dims) + " is larger than 2^40 bytes");
  }
  return {};
}

}  // namespace qhx::cpu
