#include "reference/weights.h"

#include "forge/quant/quantize.h"

namespace qhx::reference {

Status check_token_ids(std::span<const std::int32_t> ids, std::size_t vocabulary) {
  for (std::size_t t = 0; t < ids.size(); ++t) {
    if (ids[t] >= 0 && static_cast<std::size_t>(ids[t]) < vocabulary) continue;
    return invalid_argument("token " + std::to_string(t) + ": expected an id below " +
                            std::to_string(vocabulary) + ", found " + std::to_string(ids[t]));
  }
  return {};
}

Result<std::vector<float>> WeightReader::vector(const std::string& name) const {
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint_->find(name));
  QHX_ASSIGN_OR_RETURN(std::vector<float> values, hf::read_f32(tensor));
  checkpoint_->drop_resident(tensor);
  return values;
}

Result<Matrix> WeightReader::matrix(const std::string& name) const {
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint_->find(name));
  Matrix result;
  result.rows = tensor.rows();
  result.columns = tensor.row_size();
  QHX_ASSIGN_OR_RETURN(result.values, vector(name));
  return result;
}

Result<Matrix> WeightReader::rounded(const std::string& name) const {
  QHX_ASSIGN_OR_RETURN(Matrix weight, matrix(name));
  float* values = weight.values.data();
  switch (plan_.of(name, weight.columns)) {
    case WeightFormat::kF32:
      break;
    case WeightFormat::kF16:
      quant::round_to_f16(weight.values);
      break;
    case WeightFormat::kW8:
      quant::round_to_int8_per_channel(values, weight.rows, weight.columns);
      break;
    case WeightFormat::kW4:
      quant::round_to_grouped_4bit(values, weight.rows, weight.columns, quant::kGroupSize);
      break;
  }
  return weight;
}

Result<Matrix> WeightReader::embedding(const std::string& name) const {
  QHX_ASSIGN_OR_RETURN(Matrix table, matrix(name));
  if (plan_.usual() != WeightFormat::kF32) quant::round_to_f16(table.values);
  return table;
}

Result<Matrix> WeightReader::embedding_rows(const std::string& name,
                                            std::span<const std::int32_t> ids) const {
  QHX_ASSIGN_OR_RETURN(const hf::TensorView tensor, checkpoint_->find(name));
  QHX_RETURN_IF_ERROR(check_token_ids(ids, tensor.rows()));
  Matrix rows(ids.size(), tensor.row_size());
  for (std::size_t t = 0; t < ids.size(); ++t) {
    QHX_RETURN_IF_ERROR(hf::read_f32(tensor, static_cast<std::size_t>(ids[t]), 1,
                                     std::span(rows.row(t), rows.columns)));
  }
  if (plan_.usual() != WeightFormat::kF32) quant::round_to_f16(rows.values);
  return rows;
}

Result<Linear> WeightReader::linear(const std::string& prefix) const {
  Linear linear;
  QHX_ASSIGN_OR_RETURN(linear.weight, rounded(prefix + ".weight"));
  if (checkpoint_->contains(prefix + ".bias")) {
    QHX_ASSIGN_OR_RETURN(linear.bias, vector(prefix + ".bias"));
  }
  return linear;
}

Result<LayerNorm> WeightReader::layer_norm(const std::string& prefix, float epsilon) const {
  LayerNorm norm;
  norm.epsilon = epsilon;
  QHX_ASSIGN_OR_RETURN(norm.weight, vector(prefix + ".weight"));
  QHX_ASSIGN_OR_RETURN(norm.bias, vector(prefix + ".bias"));
  return norm;
}

}  // namespace qhx::reference
