// Weights of the reference model as float32 matrices, after the rounding of a storage format.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/hf/safetensors.h"
#include "reference/math.h"

namespace qhx::reference {

// What weights are rounded to before use, as a bundle of that kind would hold them: linears,
// mergers and head to half precision or to int8 for each output channel (forge/quant/quantize.h).
// In both cases the token embedding is rounded to half precision. Norms, biases, patch and position
// embedding are left alone.
enum class WeightFormat { kF32, kF16, kW8 };

// kInvalidArgument for ids outside a vocabulary of that size.
Status check_token_ids(std::span<const std::int32_t> ids, std::size_t vocabulary);

// Reads tensors of a checkpoint. Borrows it.
class WeightReader {
 public:
  WeightReader(const hf::Checkpoint& checkpoint, WeightFormat format)
      : checkpoint_(&checkpoint), format_(format) {}

  // `name` as stored, whatever the format.
  Result<std::vector<float>> vector(const std::string& name) const;
  // [first axis, product of the others], as stored.
  Result<Matrix> matrix(const std::string& name) const;
  // prefix.weight rounded to the format, and prefix.bias if the checkpoint has one.
  Result<Linear> linear(const std::string& prefix) const;
  Result<Matrix> rounded(const std::string& name) const;
  Result<Matrix> embedding(const std::string& name) const;
  // Its rows `ids` alone, one for each id.
  Result<Matrix> embedding_rows(const std::string& name, std::span<const std::int32_t> ids) const;
  // prefix.weight and prefix.bias.
  Result<LayerNorm> layer_norm(const std::string& prefix, float epsilon) const;

 private:
  const hf::Checkpoint* checkpoint_;
  WeightFormat format_;
};

}  // namespace qhx::reference
