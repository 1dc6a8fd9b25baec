// Weights of a checkpoint in the form graphs take them: read, checked, quantized and transposed,
// one tensor at a time, so that memory holds a layer and not a model.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "forge/hf/safetensors.h"
#include "forge/quant/weight_plan.h"
#include "qnn/graph_builder.h"

namespace qhx::forge {

using quant::WeightFormat;
using quant::WeightPlan;

// Rows of a [out, in] matrix; count 0 means all from `first` on.
struct RowRange {
  std::size_t first = 0;
  std::size_t count = 0;
};

// A linear's weight [1, 1, in, out].
struct LinearWeight {
  std::string name;
  qnn::Dims dims;
  Qnn_DataType_t type = QNN_DATATYPE_UNDEFINED;
  AlignedBuffer bytes;
  std::vector<float> scales;  // [out] for int8, [out, in / group] for 4 bits; else empty
  std::uint32_t group = 0;    // inputs that share a scale; 0: all

  // Refers to `scales`.
  qnn::Encoding encoding() const;

  std::uint32_t inputs() const { return dims[dims.size() - 2]; }
  std::uint32_t outputs() const { return dims.back(); }
  // A copy of what multiplies some of the inputs, with the values and scales that they have here.
  // Groups must not be cut.
  LinearWeight part(RowRange of_inputs) const;
};

// A bias, a norm's gamma or a table; its elements have the graph's activation type.
struct VectorWeight {
  std::string name;
  qnn::Dims dims;
  Qnn_DataType_t type = QNN_DATATYPE_UNDEFINED;
  std::vector<std::byte> bytes;
};

struct Linear {
  LinearWeight weight;
  std::optional<VectorWeight> bias;
};
struct Norm {
  VectorWeight gamma, beta;
};

// Exponents of the powers of two that the weight and the bias of a linear are multiplied by.
struct PowersOfTwo {
  int weight = 0;
  int bias = 0;
};

// Values as elements of `activation` (FLOAT_16 or FLOAT_32). kOutOfRange if one does not fit.
Result<VectorWeight> make_vector(std::string name, qnn::Dims dims, Qnn_DataType_t activation,
                                 std::span<const float> values);

// kCorrupt for NaN or infinity, kOutOfRange for a magnitude that the format cannot hold: as f16 it
// would become infinite, of 4 bits the scale would. The message says which element, counted from
// `first_index`.
Status check_values(std::span<const float> values, WeightFormat format, std::size_t first_index);

class WeightLoader {
 public:
  // Called after each tensor with the number of its elements; an error stops the work.
  using Progress = std::function<Status(std::size_t elements)>;

  // All references must outlive the loader.
  WeightLoader(const hf::Checkpoint& checkpoint, WeightPlan plan, Qnn_DataType_t activation,
               ThreadPool& pool, Progress progress)
      : checkpoint_(checkpoint),
        plan_(std::move(plan)),
        activation_(activation),
        pool_(pool),
        progress_(std::move(progress)) {}

  // All values are multiplied by 2^exponent, in float and before any rounding.
  //
  // `prefix`.weight, [out, in] in the checkpoint.
  Result<Linear> linear(const std::string& prefix, RowRange rows = {}, int exponent = 0) const;
  // The same with `prefix`.bias.
  Result<Linear> linear_with_bias(const std::string& prefix, RowRange rows = {},
                                  PowersOfTwo exponents = {}) const;
  Result<VectorWeight> vector(const std::string& name, RowRange rows = {}, int exponent = 0) const;
  // `prefix`.weight and `prefix`.bias.
  Result<Norm> norm(const std::string& prefix, int exponent = 0) const;

  Qnn_DataType_t activation() const { return activation_; }
  const WeightPlan& plan() const { return plan_; }

 private:
  Result<LinearWeight> matrix(const std::string& name, RowRange rows, int exponent) const;

  const hf::Checkpoint& checkpoint_;
  WeightPlan plan_;
  Qnn_DataType_t activation_;
  ThreadPool& pool_;
  Progress progress_;
};

}  // namespace qhx::forge
