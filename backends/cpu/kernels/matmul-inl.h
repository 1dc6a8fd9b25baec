// Products of two f32 matrices that both come from the graph, and transposition.
#pragma once

#include "kernels/gemm-inl.h"

namespace qhx::cpu::QHX_TARGET {

static void transpose(const float* from, std::size_t from_stride, float* to, std::size_t to_stride,
                      std::size_t rows, std::size_t columns) {
  constexpr std::size_t kB = kTransposeBlock;
  const std::size_t whole_rows = rows / kB * kB, whole_columns = columns / kB * kB;
  for (std::size_t r = 0; r < whole_rows; r += kB) {
    for (std::size_t c = 0; c < whole_columns; c += kB) {
      transpose_block(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride);
    }
  }
  for (std::size_t r = 0; r < rows; ++r) {
    const std::size_t begin = r < whole_rows ? whole_columns : 0;
    for (std::size_t c = begin; c < columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
  }
}

// B's columns [panel * 16, …) for k in [k0, k0 + kn) as [kn][panels * 16], zero past column n.
static void copy_b(const MatmulArgs& args, std::size_t panel, std::size_t panels, std::size_t k0,
                   std::size_t kn, float* b) {
  const std::size_t width = panels * kPanelWidth;
  const std::size_t first = panel * kPanelWidth;
  const std::size_t columns = least(width, args.n - first);
  if (args.b_transposed) {
    transpose(args.b + first * args.b_stride + k0, args.b_stride, b, width, columns, kn);
  } else {
    constexpr std::size_t kAhead = 8;  // rows of B are far apart: no prefetcher follows them
    for (std::size_t k = 0; k < kn; ++k) {
      const float* const next = args.b + (k0 + least(k + kAhead, kn - 1)) * args.b_stride + first;
      for (std::size_t j = 0; j < columns; j += 16) __builtin_prefetch(next + j);
      __builtin_memcpy(b + k * width, args.b + (k0 + k) * args.b_stride + first,
                       columns * sizeof(float));
    }
  }
  if (columns == width) return;
  for (std::size_t k = 0; k < kn; ++k) {
    for (std::size_t j = columns; j < width; ++j) b[k * width + j] = 0.0f;
  }
}

static void matmul(const MatmulArgs& args, const Slice& slice, void* scratch) {
  const auto load_b = [&](std::size_t panel, std::size_t panels, std::size_t k0, std::size_t kn,
                          float* b) { copy_b(args, panel, panels, k0, kn, b); };
  const auto finish = [&](std::size_t row, std::size_t rows, std::size_t panel, std::size_t panels,
                          const float* c) {
    const std::size_t first = panel * kPanelWidth;
    const std::size_t columns = least(panels * kPanelWidth, args.n - first);
    for (std::size_t r = 0; r < rows; ++r) {
      __builtin_memcpy(args.c + (row + r) * args.c_stride + first, c + r * kCStride,
                       columns * sizeof(float));
    }
  };
  gemm(args.a, args.a_stride, args.k, slice, scratch, load_b, finish);
}

}  // namespace qhx::cpu::QHX_TARGET
