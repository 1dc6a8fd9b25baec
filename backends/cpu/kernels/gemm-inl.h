// The matrix product that linear, matmul and attention share: a register tile and the blocking
// around it.
//
// Bound: FMA throughput. C [rows, columns] is computed in blocks of kBlockRows x kBlockPanels
// panels. For each kBlockK slice of K, the rows of A are copied to scratch (a fixed odd number of
// cache lines apart, so that rows whose distance is a power of two do not evict each other), and
// each tile's worth of columns of B is brought to f32 [k][columns] in scratch, where it serves all
// row tiles: A's block and C's stay in L2, B's in L1 or L2.
#pragma once

namespace qhx::cpu::QHX_TARGET {

constexpr std::size_t kBlockK = 256;
constexpr std::size_t kBlockRows = 120;  // a multiple of every kTileRows
constexpr std::size_t kBlockPanels = 16;
constexpr std::size_t kTileColumns = kTilePanels * kPanelWidth;
constexpr std::size_t kAStride = kBlockK + 16;
constexpr std::size_t kCStride = kBlockPanels * kPanelWidth + 16;
constexpr std::size_t kGemmScratchFloats =
    kBlockRows * (kAStride + kCStride) + kBlockK * kTileColumns;
static_assert(kBlockRows % kTileRows == 0 && kBlockPanels % kTilePanels == 0);

// What a tile multiplies: numbers, or of another type (a target's Narrow) pairs of smaller ones
// that lie in their place: those of two adjacent k, with half as many k.
struct Floats {
  QHX_INLINE V add_product(V sum, V a, V b) { return fma(a, b, sum); }
};

// c [R, P panels] = or += a [R, k] b [k, P panels]. Rows of a are kAStride apart, rows of b are
// adjacent.
template <class Product, int R, int P>
static void tile(std::size_t k, const float* __restrict a, const float* __restrict b,
                 float* __restrict c, std::size_t c_stride, bool accumulate) {
  constexpr int kVectors = P * static_cast<int>(kPanelVectors);
  V sum[R][kVectors];
  QHX_UNROLL for (int r = 0; r < R; ++r) {
    QHX_UNROLL for (int v = 0; v < kVectors; ++v) {
      sum[r][v] = accumulate ? load(c + r * c_stride + v * kLanes) : zero();
    }
  }
  for (std::size_t i = 0; i < k; ++i, ++a, b += P * kPanelWidth) {
    V column[kVectors];
    QHX_UNROLL for (int v = 0; v < kVectors; ++v) column[v] = load(b + v * kLanes);
    QHX_UNROLL for (int r = 0; r < R; ++r) {
      const V row = set1(a[r * kAStride]);
      QHX_UNROLL for (int v = 0; v < kVectors; ++v) sum[r][v] =
          Product::add_product(sum[r][v], row, column[v]);
    }
  }
  QHX_UNROLL for (int r = 0; r < R; ++r) {
    QHX_UNROLL for (int v = 0; v < kVectors; ++v) store(c + r * c_stride + v * kLanes, sum[r][v]);
  }
}

template <class Product, int R, int P>
static void tile_of(int rows, std::size_t k, const float* a, const float* b, float* c,
                    std::size_t c_stride, bool accumulate) {
  if constexpr (R > 0) {
    if (rows == R) return tile<Product, R, P>(k, a, b, c, c_stride, accumulate);
    tile_of<Product, R - 1, P>(rows, k, a, b, c, c_stride, accumulate);
  }
}

// All row tiles of one column tile.
template <class Product, int P>
static void row_tiles(std::size_t rows, std::size_t k, const float* a, const float* b, float* c,
                      std::size_t c_stride, bool accumulate) {
  for (std::size_t r = 0; r < rows; r += kTileRows) {
    const std::size_t left = rows - r;
    const int count = left < kTileRows ? static_cast<int>(left) : kTileRows;
    tile_of<Product, kTileRows, P>(count, k, a + r * kAStride, b, c + r * c_stride, c_stride,
                                   accumulate);
  }
}

// `panels` is at most kTilePanels; b is [k][panels * 16].
template <class Product>
static void column_tile(std::size_t panels, std::size_t rows, std::size_t k, const float* a,
                        const float* b, float* c, std::size_t c_stride, bool accumulate) {
  if (panels == kTilePanels)
    return row_tiles<Product, kTilePanels>(rows, k, a, b, c, c_stride, accumulate);
  if constexpr (kTilePanels > 1) row_tiles<Product, 1>(rows, k, a, b, c, c_stride, accumulate);
}

QHX_INLINE std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }

// load_b(panel, panels, k_begin, k_count, b) writes B's columns as [k_count][panels * 16].
// finish(row_begin, rows, panel_begin, panels, c) takes a finished block of C, its rows kCStride
// apart.
template <class LoadB, class Finish>
static void gemm(const float* x, std::size_t x_stride, std::size_t k, const Slice& slice,
                 void* scratch, LoadB load_b, Finish finish) {
  float* const a = static_cast<float*>(scratch);
  float* const c = a + kBlockRows * kAStride;
  float* const b = c + kBlockRows * kCStride;
  for (std::size_t row = slice.row_begin; row < slice.row_end; row += kBlockRows) {
    const std::size_t rows = least(kBlockRows, slice.row_end - row);
    for (std::size_t first = slice.panel_begin; first < slice.panel_end; first += kBlockPanels) {
      const std::size_t panels = least(kBlockPanels, slice.panel_end - first);
      std::size_t k0 = 0;
      do {  // once even if k is 0: C is zero then
        const std::size_t kn = least(kBlockK, k - k0);
        for (std::size_t r = 0; r < rows && kn != 0; ++r) {
          __builtin_memcpy(a + r * kAStride, x + (row + r) * x_stride + k0, kn * sizeof(float));
        }
        for (std::size_t p = 0; p < panels; p += kTilePanels) {
          const std::size_t width = least(kTilePanels, panels - p);
          load_b(first + p, width, k0, kn, b);
          column_tile<Floats>(width, rows, kn, a, b, c + p * kPanelWidth, kCStride, k0 != 0);
        }
        k0 += kBlockK;
      } while (k0 < k);
      finish(row, rows, first, panels, c);
    }
  }
}

}  // namespace qhx::cpu::QHX_TARGET
