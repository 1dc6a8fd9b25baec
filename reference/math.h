// The few operations that the forward pass is made of, in plain float32. Sums of means and
// variances and of exponentials run in double; products of matrices in float, sixteen partial sums
// a value.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/thread_pool.h"

namespace qhx::reference {

// Row-major.
struct Matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<float> values;

  Matrix() = default;
  Matrix(std::size_t row_count, std::size_t column_count)
      : rows(row_count), columns(column_count), values(row_count * column_count) {}

  float* row(std::size_t r) { return values.data() + r * columns; }
  const float* row(std::size_t r) const { return values.data() + r * columns; }
};

// y = x W^T + b: weight [out, in]; bias [out], or empty for none.
struct Linear {
  Matrix weight;
  std::vector<float> bias;
};
Matrix apply(const Linear& linear, const Matrix& x, ThreadPool& pool);

struct LayerNorm {
  std::vector<float> weight;
  std::vector<float> bias;
  float epsilon = 0;
};
// Row by row: (x - mean) / sqrt(variance + epsilon) * weight + bias, the variance that of the
// population.
Matrix apply(const LayerNorm& norm, const Matrix& x);

// Over consecutive pieces of `weight`'s length in every row (the whole row, or one head each), in
// place: x / sqrt(mean(x^2) + epsilon) * weight.
void rms_norm(std::span<const float> weight, float epsilon, Matrix& x);

// x += y.
void add(Matrix& x, const Matrix& y);

// Rotates pairs (d, d + dim / 2) of every head of every row, in place; cos and sin [rows, head_dim
// / 2].
void rotate_heads(Matrix& x, std::size_t head_dim, std::span<const float> cos,
                  std::span<const float> sin);

float gelu_tanh(float x);  // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
float gelu_erf(float x);   // 0.5 x (1 + erf(x / sqrt(2)))
float silu(float x);       // x / (1 + e^-x)

// Scaled dot-product attention with grouped heads. Query row r sees the first visible(r) rows of
// keys and values.
struct AttentionShape {
  std::size_t n_heads = 0;
  std::size_t n_kv_heads = 0;  // divides n_heads; query head h uses head h / (n_heads / n_kv_heads)
  std::size_t head_dim = 0;
  bool causal = false;  // row r of q is key row (k.rows - q.rows + r) and sees nothing after it;
                        // else all see all
};
// q [T, n_heads * head_dim], k and v [S, n_kv_heads * head_dim]; returns [T, n_heads * head_dim].
Matrix attention(const AttentionShape& shape, const Matrix& q, const Matrix& k, const Matrix& v,
                 ThreadPool& pool);
// q k^T [T, S] of one query head, neither scaled nor masked: attention() keeps no scores to look
// at.
Matrix attention_scores(const AttentionShape& shape, const Matrix& q, const Matrix& k,
                        std::size_t head, ThreadPool& pool);

// Columns [first, first + count) of x.
Matrix columns_of(const Matrix& x, std::size_t first, std::size_t count);

}  // namespace qhx::reference
