// The graph as this backend sees it: tensors, nodes, attributes. The same structures hold what a
// client builds, what the rewriting passes make of it, and what a context binary stores.
//
// Tensors are dense and row-major. An index into Graph::tensors names a tensor inside the backend;
// Tensor::id is the number that clients see. Each tensor has at most one producer, and nodes are in
// the order of execution.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "graph/blob.h"
#include "kernels/pack.h"

namespace qhx::cpu {

using Dims = std::vector<std::uint32_t>;

enum class Role : std::uint8_t { kInput, kOutput, kNative, kStatic };

// How int8 values of a static tensor become numbers. Only symmetric encodings can be computed with;
// what else a client may describe is kept so that the op that refuses it can say what it found.
struct Quantization {
  enum class Kind : std::uint8_t {
    kNone,
    kPerTensor,
    kPerChannel,   // int8, one scale for each index of `axis`
    kPerChannel4,  // the same with values -7 … 7
    kGroups4,      // values -7 … 7, one scale for each run of `group` elements along `axis`
  };
  Kind kind = Kind::kNone;
  int axis = 0;
  std::uint32_t group = 0;
  bool has_offset = false;
  std::vector<float> scales;
};

// The form of a weight that a linear reads: panels, then, 64-byte aligned, its scales
// (kernels/kernel_table.h).
struct PackedFormat {
  WeightType type = WeightType::kF32;
  std::uint64_t n = 0, k = 0, group = 0;

  std::uint64_t scales_offset() const;  // bytes; also the end of the panels, rounded up
  std::uint64_t size_bytes() const;
};

class Constant;  // graph/constant.h

struct Tensor {
  std::uint32_t id = 0;
  std::string name;
  Role role = Role::kNative;
  DType dtype = DType::kF32;
  Dims dims;
  Quantization quantization;

  // Static tensors: while the graph is built, the client's values; after finalize, the bytes that
  // execution reads.
  std::shared_ptr<Constant> constant;
  std::shared_ptr<const Blob> blob;
  std::optional<PackedFormat> packed;

  std::uint64_t elements() const;
  std::uint64_t size_bytes() const { return elements() * qhx::size_bytes(dtype); }
  bool is_float() const { return dtype == DType::kF32 || dtype == DType::kF16; }
  bool is_static() const { return role == Role::kStatic; }
  // Dimension `i` counted from the end: 0 is the last.
  std::uint32_t dim_from_end(std::size_t i) const { return dims[dims.size() - 1 - i]; }
};

// Op parameters by name. Booleans and single integers are lists of one.
struct Attributes {
  std::map<std::string, std::vector<std::int64_t>, std::less<>> ints;
  std::map<std::string, double, std::less<>> floats;

  const std::vector<std::int64_t>* list(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  double number(std::string_view name, double otherwise) const;
};

struct Node {
  std::string name;
  std::string type;
  Attributes attributes;
  std::vector<int> inputs;  // -1: an optional input that is absent
  std::vector<int> outputs;
};

struct Graph {
  std::string name;
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  std::vector<int> inputs, outputs;  // client tensors, in the order of creation
};

std::string to_string(const Dims& dims);
std::uint64_t element_count(const Dims& dims);  // saturates at 2^63 instead of wrapping

// Tensors larger than this are refused wherever they come from: it keeps all size arithmetic in 64
// bits.
inline constexpr std::uint64_t kMaxTensorBytes = std::uint64_t{1} << 40;
inline constexpr std::size_t kMaxRank = 8;

// Whether rank, dimensions (none zero) and size are within the limits.
Status check_dims(const Dims& dims, DType dtype, std::string_view what);

}  // namespace qhx::cpu
