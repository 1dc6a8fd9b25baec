// Weights of the reference model as float32 matrices, after the rounding of a storage format.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/hf/safetensors.h"
#include "forge/quant/weight_plan.h"
#include "reference/math.h"

namespace qhx::reference {

// What weights are rounded to before use, as a bundle of that kind would hold them: linears,
// mergers and head as the plan says (forge/quant/quantize.h has the rounding). Unless all stays
// f32, the token embedding is rounded to half precision. Norms, biases, patch and position
// embedding are left alone.
using quant::WeightFormat;
using quant::WeightPlan;

// kInvalidArgument for ids outside a vocabulary of that size.
Status check_token_ids(std::span<const std::int32_t> ids, std::size_t vocabulary);

// Reads tensors of a checkpoint. Borrows it.
class WeightReader {
 public:
  WeightReader(const hf::Checkpoint& checkpoint, WeightPlan plan)
      : checkpoint_(&checkpoint), plan_(std::move(plan)) {}

  // `name` as stored, whatever the plan.
  Result<std::vector<float>> vector(const std::string& name) const;
  // [first axis, product of the others], as stored.
  Result<Matrix> matrix(const std::string& name) const;
  // prefix.weight rounded by the plan, and prefix.bias if the checkpoint has one.
  Result<Linear> linear(const std::string& prefix) const;
  Result<Matrix> rounded(const std::string& name) const;
  Result<Matrix> embedding(const std::string& name) const;
  // Its rows `ids` alone, one for each id.
  Result<Matrix> embedding_rows(const std::string& name, std::span<const std::int32_t> ids) const;
  // prefix.weight and prefix.bias.
  Result<LayerNorm> layer_norm(const std::string& prefix, float epsilon) const;

 private:
  const hf::Checkpoint* checkpoint_;
  WeightPlan plan_;
};

}  // namespace qhx::reference
