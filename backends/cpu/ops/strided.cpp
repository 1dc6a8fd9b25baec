#include "ops/strided.h"

#include <cstring>

#include "base/f16.h"

namespace qhx::cpu {
namespace {

// Elements a thread should have at least: below that, waking another costs more than it saves.
constexpr std::size_t kGrain = 16 * 1024;

template <typename T>
void copy_row(const T* from, std::int64_t stride, T* to, std::size_t count) {
  if (stride == 1) {
    std::memcpy(to, from, count * sizeof(T));
    return;
  }
  for (std::size_t i = 0; i < count; ++i) to[i] = from[static_cast<std::int64_t>(i) * stride];
}

void copy_row_to_f16(const Run& run, const float* from, std::int64_t stride, std::uint16_t* to,
                     std::size_t count) {
  if (stride == 1) {
    run.kernels.f32_to_f16(from, to, count);
    return;
  }
  for (std::size_t i = 0; i < count; ++i)
    to[i] = f32_to_f16(from[static_cast<std::int64_t>(i) * stride]);
}

// Source offset of a row: the walk over all dimensions but the last.
std::int64_t row_offset(const StridedWalk& walk, std::uint64_t row) {
  std::int64_t offset = walk.offset;
  for (std::size_t d = walk.dims.size() - 1; d-- > 0;) {
    offset += static_cast<std::int64_t>(row % walk.dims[d]) * walk.strides[d];
    row /= walk.dims[d];
  }
  return offset;
}

template <typename CopyRow>
void for_rows(const Run& run, const StridedWalk& walk, CopyRow&& copy) {
  const std::uint64_t width = walk.dims.back();
  std::uint64_t rows = 1;
  for (std::size_t d = 0; d + 1 < walk.dims.size(); ++d) rows *= walk.dims[d];
  parallel_ranges(run, rows, kGrain / width + 1,
                  [&](std::size_t begin, std::size_t end, std::byte*) {
                    for (std::size_t r = begin; r < end; ++r) copy(row_offset(walk, r), r * width);
                  });
}

template <typename T>
void copy_walk(const Run& run, int from, int to, const StridedWalk& walk) {
  const T* source = run.in<T>(from);
  T* target = run.out<T>(to);
  for_rows(run, walk, [&](std::int64_t in, std::size_t out) {
    copy_row(source + in, walk.strides.back(), target + out, walk.dims.back());
  });
}

// The last two dimensions exchanged: done in blocks by a kernel.
bool is_matrix_transpose(const StridedWalk& walk) {
  const std::size_t rank = walk.dims.size();
  return rank >= 2 && walk.strides[rank - 2] == 1 && walk.strides[rank - 1] > 1 &&
         walk.strides[rank - 1] >= static_cast<std::int64_t>(walk.dims[rank - 2]);
}

void copy_transposed(const Run& run, int from, int to, const StridedWalk& walk) {
  const std::size_t rank = walk.dims.size();
  const std::uint64_t rows = walk.dims[rank - 1], columns = walk.dims[rank - 2];  // of the source
  StridedWalk outer = walk;
  outer.dims[rank - 2] = 1;
  outer.dims[rank - 1] = 1;
  std::uint64_t matrices = 1;
  for (std::size_t d = 0; d + 2 < rank; ++d) matrices *= walk.dims[d];
  const float* source = run.in<float>(from);
  float* target = run.out<float>(to);
  parallel(run, matrices, [&](std::size_t m, std::byte*) {
    run.kernels.transpose(source + row_offset(outer, m),
                          static_cast<std::size_t>(walk.strides[rank - 1]),
                          target + m * rows * columns, rows, rows, columns);
  });
}

}  // namespace

std::vector<std::int64_t> dense_strides(const Dims& dims) {
  std::vector<std::int64_t> strides(dims.size(), 1);
  for (std::size_t d = dims.size(); d-- > 1;)
    strides[d - 1] = strides[d] * static_cast<std::int64_t>(dims[d]);
  return strides;
}

StridedWalk simplify(const StridedWalk& walk) {
  StridedWalk out{.dims = {}, .strides = {}, .offset = walk.offset};
  for (std::size_t d = 0; d < walk.dims.size(); ++d) {
    if (walk.dims[d] == 1) continue;
    const bool continues =
        !out.dims.empty() &&
        out.strides.back() == walk.strides[d] * static_cast<std::int64_t>(walk.dims[d]);
    if (continues) {
      out.dims.back() *= walk.dims[d];
      out.strides.back() = walk.strides[d];
    } else {
      out.dims.push_back(walk.dims[d]);
      out.strides.push_back(walk.strides[d]);
    }
  }
  if (out.dims.empty()) {
    out.dims = {1};
    out.strides = {1};
  }
  return out;
}

RunFunction strided_copy(int from, int to, const StridedWalk& walk, std::size_t element_bytes,
                         bool to_f16) {
  const StridedWalk simple = simplify(walk);
  if (to_f16) {
    return [=](const Run& run) {
      const float* source = run.in<float>(from);
      auto* target = run.out<std::uint16_t>(to);
      for_rows(run, simple, [&](std::int64_t in, std::size_t out) {
        copy_row_to_f16(run, source + in, simple.strides.back(), target + out, simple.dims.back());
      });
    };
  }
  if (element_bytes == 4 && is_matrix_transpose(simple)) {
    return [=](const Run& run) { copy_transposed(run, from, to, simple); };
  }
  return [=](const Run& run) {
    switch (element_bytes) {
      case 1:
        copy_walk<std::uint8_t>(run, from, to, simple);
        break;
      case 2:
        copy_walk<std::uint16_t>(run, from, to, simple);
        break;
      default:
        copy_walk<std::uint32_t>(run, from, to, simple);
        break;
    }
  };
}

}  // namespace qhx::cpu
