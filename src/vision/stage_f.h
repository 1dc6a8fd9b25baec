// Stage-F: patch and position embedding on the host, what comes before the first vision block.
//
// y[n] = W x[n] + b + P[n]: W [hidden, patch values] is the patch convolution as a matrix (kernel =
// stride, so it is one), P the square grid of learned position embeddings, interpolated bilinearly
// (corners aligned) to the picture's grid. All float32.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "vision/patches.h"

namespace qhx::vision {

// Position embedding of every patch, in the sequence order of patches.h. grid_weights [side * side,
// hidden], out [N, hidden]. Source coordinates are i * (side - 1) / (n - 1) in float (n = 1: 0).
void interpolate_positions(std::span<const float> grid_weights, std::size_t side,
                           std::size_t hidden, Grid grid, int merge, std::span<float> out);

// The patch embedding of one model. Borrowed weights must outlive it. embed() may be called from
// several threads.
class StageF {
 public:
  struct Weights {
    std::span<const float> patch;      // [hidden, patch values]
    std::span<const float> bias;       // [hidden]
    std::span<const float> positions;  // [side * side, hidden]
    std::size_t hidden = 0;
    std::size_t side = 0;
  };

  // How the time slices of W are used. Slices of a still picture are equal, so their weights may be
  // summed once, in float: the same algebra with half the work for two slices; results differ in
  // rounding only.
  enum class TimeSlices { kSeparate, kSummed };

  StageF(const Weights& weights, const PatchParams& params, TimeSlices slices);

  // patches [N, patch values] as extract_patches() writes them -> out [N, hidden], N =
  // grid.patches() (QHX_CHECK).
  void embed(std::span<const float> patches, Grid grid, ThreadPool& pool,
             std::span<float> out) const;

 private:
  void embed_block(std::span<const float> patches, std::size_t row, std::size_t rows,
                   std::size_t panel, std::size_t panel_count, std::span<float> out) const;

  Weights weights_;
  PatchParams params_;
  TimeSlices slices_;
  std::size_t slice_values_ = 0;  // patch * patch: one channel at one time
  std::size_t slice_count_ = 0;   // slices of a patch that are multiplied
  std::vector<float> packed_;     // [slice, panel of 16 outputs, value, output]
};

}  // namespace qhx::vision
