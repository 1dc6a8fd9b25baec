// Runs one linear kernel so many times and does nothing else: for count.py.
//
//   run_kernel TARGET FORMAT LEVELS ROWS K N TIMES     FORMAT: f16, i8, i4, i4_g32
//
// Exit code 3: the machine, or what emulates it, does not have the target.
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "kernels/quantized_rows.h"

namespace {

using namespace qhx::cpu;

const KernelTable* find_target(std::string_view name) {
  for (const KernelTable* table : supported_kernels()) {
    if (table->name == name) return table;
  }
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) {
    std::fprintf(stderr, "usage: run_kernel TARGET FORMAT LEVELS ROWS K N TIMES\n");
    return 2;
  }
  const KernelTable* kernels = find_target(argv[1]);
  if (kernels == nullptr) return 3;
  const std::string_view format = argv[2];
  const int levels = std::atoi(argv[3]), times = std::atoi(argv[7]);
  const std::size_t m = std::strtoul(argv[4], nullptr, 10), k = std::strtoul(argv[5], nullptr, 10),
                    n = std::strtoul(argv[6], nullptr, 10);
  PackedWeights weights{.n = n, .k = k};
  weights.type = format == "f16"  ? WeightType::kF16
                 : format == "i8" ? WeightType::kI8
                                  : WeightType::kI4;
  if (format == "i4_g32") weights.group = 32;
  if (levels > 0 && !has_integer_form(weights.type, weights.group)) return 2;
  const qhx::AlignedBuffer panels(packed_bytes(weights.type, n, k));
  const std::vector<float> scales(padded_channels(n));
  const std::vector<std::uint16_t> group_scales(packed_scales(n, k, weights.group));
  weights.panels = panels.data();
  weights.scales = scales.data();
  weights.group_scales = group_scales.data();
  const std::vector<float> x(m * k, 1.0f);
  std::vector<float> y(m * n);
  qhx::AlignedBuffer scratch(linear_scratch_bytes(*kernels, weights.type, weights.group, k));
  qhx::AlignedBuffer quantized(quantized_bytes(m, k, levels));
  const IntegerRows rows = place_quantized(quantized.data(), m, k, levels);
  if (levels > 0) kernels->quantize(x.data(), k, 0, m, rows);
  const LinearArgs args{
      .weights = &weights, .x = x.data(), .x_stride = k, .y = y.data(), .y_stride = n};
  const Slice slice{.row_end = m, .panel_end = panel_count(n)};
  for (int i = 0; i < times; ++i) {
    if (levels > 0) {
      kernels->linear_integer(args, rows, levels, slice, scratch.data());
    } else {
      kernels->linear(args, slice, scratch.data());
    }
  }
  return 0;
}
