// Cast between element types. Inside a graph f16 tensors are held as f32, so at run time a Cast to
// or from f16 is at the graph's edge or between equal types.
#include <cmath>
#include <cstring>

#include "ops/all.h"

namespace qhx::cpu {
namespace {

constexpr std::size_t kGrain = 16 * 1024;

bool castable(DType from, DType to) {
  const auto is_float = [](DType t) { return t == DType::kF32 || t == DType::kF16; };
  if (from == to) return from != DType::kI8 && from != DType::kU8;
  if (is_float(from)) return is_float(to) || to == DType::kI32 || to == DType::kI8;
  return (from == DType::kI32 || from == DType::kU32 || from == DType::kBool ||
          from == DType::kI8) &&
         is_float(to);
}

Status check_cast(const OpView& op) {
  QHX_RETURN_IF_ERROR(expect_counts(op, 1, 1, 1));
  QHX_RETURN_IF_ERROR(expect_params(op, {}));
  if (!castable(op.inputs[0]->dtype, op.outputs[0]->dtype)) {
    return op_error(op, "cannot cast " + describe(op, true, 0) + " to " + describe(op, false, 0));
  }
  return expect_output_dims(op, 0, op.inputs[0]->dims);
}

// Toward zero; NaN gives 0, what does not fit the nearest that does.
std::int32_t to_int(float x) {
  if (std::isnan(x)) return 0;
  if (x >= 2147483648.0f) return 2147483647;
  if (x <= -2147483648.0f) return -2147483647 - 1;
  return static_cast<std::int32_t>(x);
}

// The same for the integers of -128 … 127.
std::int8_t to_byte(float x) {
  if (std::isnan(x)) return 0;
  return static_cast<std::int8_t>(std::fmax(-128.0f, std::fmin(127.0f, x)));
}

template <typename From, typename To, typename F>
RunFunction convert(const Node& node, std::uint64_t count, F range) {
  return [=, from = node.inputs[0], to = node.outputs[0]](const Run& run) {
    const From* x = run.in<From>(from);
    To* y = run.out<To>(to);
    parallel_ranges(run, count, kGrain, [&](std::size_t begin, std::size_t end, std::byte*) {
      range(run.kernels, x + begin, y + begin, end - begin);
    });
  };
}

template <typename From, typename To, typename F>
RunFunction by_element(const Node& node, std::uint64_t count, F f) {
  return convert<From, To>(node, count,
                           [f](const KernelTable&, const From* x, To* y, std::size_t n) {
                             for (std::size_t i = 0; i < n; ++i) y[i] = f(x[i]);
                           });
}

RunFunction prepare_cast(const Graph& graph, const Node& node, int) {
  const Tensor& x = graph.tensors[static_cast<std::size_t>(node.inputs[0])];
  const DType from = x.dtype, to = graph.tensors[static_cast<std::size_t>(node.outputs[0])].dtype;
  const std::uint64_t count = x.elements();
  using Half = std::uint16_t;
  if (from == DType::kF16 && to == DType::kF32) {
    return convert<Half, float>(node, count,
                                [](const KernelTable& k, const Half* a, float* b, std::size_t n) {
                                  k.f16_to_f32(a, b, n);
                                });
  }
  if (from == DType::kF32 && to == DType::kF16) {
    return convert<float, Half>(node, count,
                                [](const KernelTable& k, const float* a, Half* b, std::size_t n) {
                                  k.f32_to_f16(a, b, n);
                                });
  }
  if (from == DType::kF32 && to == DType::kI32)
    return by_element<float, std::int32_t>(node, count, to_int);
  if (from == DType::kF32 && to == DType::kI8)
    return by_element<float, std::int8_t>(node, count, to_byte);
  if (from == DType::kI8 && to == DType::kF32) {
    return by_element<std::int8_t, float>(node, count,
                                          [](std::int8_t v) { return static_cast<float>(v); });
  }
  if (from == DType::kI32 && to == DType::kF32) {
    return by_element<std::int32_t, float>(node, count,
                                           [](std::int32_t v) { return static_cast<float>(v); });
  }
  if (from == DType::kU32 && to == DType::kF32) {
    return by_element<std::uint32_t, float>(node, count,
                                            [](std::uint32_t v) { return static_cast<float>(v); });
  }
  if (from == DType::kBool && to == DType::kF32) {
    return by_element<std::uint8_t, float>(node, count,
                                           [](std::uint8_t v) { return v != 0 ? 1.0f : 0.0f; });
  }
  if (from != to) return nullptr;
  return convert<std::byte, std::byte>(
      node, x.size_bytes(),
      [](const KernelTable&, const std::byte* a, std::byte* b, std::size_t n) {
        if (a != b) std::memcpy(b, a, n);
      });
}

}  // namespace

std::vector<OpDefinition> cast_ops() {
  return {{.type = "Cast",
           .check = check_cast,
           .prepare = prepare_cast,
           .f16_inputs = 1u,
           .f16_outputs = 1u}};
}

}  // namespace qhx::cpu
