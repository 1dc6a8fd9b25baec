#include "ops/weights.h"

#include <cmath>

#include "graph/constant.h"

namespace qhx::cpu {
namespace {

using Kind = Quantization::Kind;

// Rounds to infinity.
constexpr float kBeyondF16 = 65520.0f;

Status check_int4(const OpView& op, const WeightAxes& axes) {
  const Tensor& weight = *op.inputs[axes.input];
  if (weight.constant == nullptr) return {};  // described without values: nothing to look at yet
  if (const auto bad = weight.constant->value_beyond_int4()) {
    return op_error(op, describe(op, true, axes.input) +
                            ": 4-bit encoding, expected values -7 to 7, found " +
                            std::to_string(*bad));
  }
  return {};
}

Status check_groups(const OpView& op, const WeightAxes& axes) {
  const Tensor& weight = *op.inputs[axes.input];
  const Quantization& q = weight.quantization;
  const std::string what = describe(op, true, axes.input);
  if (!axes.groups_allowed)
    return op_error(op, what + ": BLOCK encoding is not supported by this op; use Conv2d");
  if (q.axis != static_cast<int>(axes.k_axis)) {
    return op_error(op, what + ": expected blocks along axis " + std::to_string(axes.k_axis) +
                            ", found axis " + std::to_string(q.axis));
  }
  const std::uint32_t k = weight.dims[axes.k_axis];
  if (q.group == 0 || k % q.group != 0) {
    return op_error(op, what + ": block size " + std::to_string(q.group) + " does not divide " +
                            std::to_string(k));
  }
  return {};
}

Status check_scales(const OpView& op, const WeightAxes& axes) {
  const Tensor& weight = *op.inputs[axes.input];
  const Quantization& q = weight.quantization;
  const std::uint64_t n = weight.dims[axes.n_axis];
  const std::uint64_t groups = q.kind == Kind::kGroups4 ? weight.dims[axes.k_axis] / q.group : 1;
  const std::string what = describe(op, true, axes.input);
  if (q.has_offset) {
    return op_error(
        op, what + ": expected offsets of 0, found another: only symmetric weights are supported");
  }
  if (q.scales.size() != n * groups) {
    return op_error(op, what + ": expected " + std::to_string(n * groups) + " scales, found " +
                            std::to_string(q.scales.size()));
  }
  for (const float scale : q.scales) {
    if (!std::isfinite(scale)) return op_error(op, what + ": a scale is not finite");
    // Scales of groups are kept as 16-bit floats.
    if (q.kind == Kind::kGroups4 && std::abs(scale) >= kBeyondF16) {
      return op_error(op, what + ": a block's scale of " + std::to_string(scale) +
                              " is beyond the largest 16-bit float (65504)");
    }
  }
  return {};
}

Status check_quantized(const OpView& op, const WeightAxes& axes) {
  const Tensor& weight = *op.inputs[axes.input];
  const Quantization& q = weight.quantization;
  const std::string what = describe(op, true, axes.input);
  if (!weight.is_static()) return op_error(op, what + ": a quantized weight must be STATIC");
  if (weight.dtype != DType::kI8) {
    return op_error(op, what + ": expected FLOAT_16, FLOAT_32 or SFIXED_POINT_8");
  }
  switch (q.kind) {
    case Kind::kNone:
    case Kind::kPerTensor:
      return op_error(op,
                      what + ": expected one scale per output channel (AXIS_SCALE_OFFSET), found " +
                          (q.kind == Kind::kNone ? "no encoding" : "one for the whole tensor"));
    case Kind::kGroups4:
      QHX_RETURN_IF_ERROR(check_groups(op, axes));
      break;
    case Kind::kPerChannel:
    case Kind::kPerChannel4:
      if (q.axis != static_cast<int>(axes.n_axis)) {
        return op_error(op, what + ": expected scales along axis " + std::to_string(axes.n_axis) +
                                ", found axis " + std::to_string(q.axis));
      }
  }
  QHX_RETURN_IF_ERROR(check_scales(op, axes));
  return q.kind == Kind::kPerChannel ? Status() : check_int4(op, axes);
}

}  // namespace

Status check_weight(const OpView& op, const WeightAxes& axes) {
  const Tensor& weight = *op.inputs[axes.input];
  if (weight.packed)
    return op_error(op, describe(op, true, axes.input) + ": packed weights are for qhx.Linear");
  return weight.is_float() ? Status() : check_quantized(op, axes);
}

PackedFormat packed_format(const Tensor& weight, std::uint64_t n, std::uint64_t k) {
  PackedFormat format{.type = WeightType::kF32, .n = n, .k = k, .group = 0};
  if (weight.dtype == DType::kF16) format.type = WeightType::kF16;
  if (weight.dtype == DType::kI8) {
    format.type = weight.quantization.kind == Kind::kPerChannel ? WeightType::kI8 : WeightType::kI4;
    if (weight.quantization.kind == Kind::kGroups4) format.group = weight.quantization.group;
  }
  return format;
}

}  // namespace qhx::cpu
