#include "reference/math.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "base/check.h"

namespace qhx::reference {
namespace {

constexpr std::size_t kLanes = 16;
constexpr std::size_t kOutputs = 4;

// Dot products of one x with `kCount` rows of w that are `count` apart. Independent partial sums
// let the compiler use vector instructions without changing the order of any sum.
template <std::size_t kCount>
void dots(const float* x, const float* w, std::size_t count, float* out) {
  float sums[kCount][kLanes] = {};
  std::size_t k = 0;
  for (; k + kLanes <= count; k += kLanes) {
    for (std::size_t o = 0; o < kCount; ++o) {
      for (std::size_t lane = 0; lane < kLanes; ++lane)
        sums[o][lane] += x[k + lane] * w[o * count + k + lane];
    }
  }
  for (std::size_t o = 0; o < kCount; ++o) {
    for (std::size_t step = kLanes / 2; step > 0; step /= 2) {
      for (std::size_t lane = 0; lane < step; ++lane) sums[o][lane] += sums[o][lane + step];
    }
    for (std::size_t rest = k; rest < count; ++rest) sums[o][0] += x[rest] * w[o * count + rest];
    out[o] = sums[o][0];
  }
}

// The part of attention() that belongs to one query row and head.
void attend(const AttentionShape& shape, const float* query, const Matrix& k, const Matrix& v,
            std::size_t kv_head, std::size_t visible, float* out) {
  const std::size_t dim = shape.head_dim, offset = kv_head * dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(dim));
  std::vector<float> weights(visible);
  float largest = -INFINITY;
  for (std::size_t s = 0; s < visible; ++s) {
    dots<1>(query, k.row(s) + offset, dim, &weights[s]);
    weights[s] *= scale;
    largest = std::max(largest, weights[s]);
  }
  double sum = 0;
  for (float& weight : weights) {
    weight = std::exp(weight - largest);
    sum += static_cast<double>(weight);
  }
  const auto inverse = static_cast<float>(1.0 / sum);
  std::fill_n(out, dim, 0.0f);
  for (std::size_t s = 0; s < visible; ++s) {
    const float weight = weights[s] * inverse;
    const float* value = v.row(s) + offset;
    for (std::size_t d = 0; d < dim; ++d) out[d] += weight * value[d];
  }
}

}  // namespace

Matrix apply(const Linear& linear, const Matrix& x, ThreadPool& pool) {
  const std::size_t in = linear.weight.columns, out = linear.weight.rows;
  QHX_CHECK(x.columns == in && (linear.bias.empty() || linear.bias.size() == out));
  Matrix y(x.rows, out);
  // A few rows of weights stay in the cache while all of x passes.
  pool.run((out + kOutputs - 1) / kOutputs, [&](std::size_t block) {
    const std::size_t first = block * kOutputs, last = std::min(first + kOutputs, out);
    for (std::size_t r = 0; r < x.rows; ++r) {
      float* to = y.row(r) + first;
      if (last - first == kOutputs) {
        dots<kOutputs>(x.row(r), linear.weight.row(first), in, to);
      } else {
        for (std::size_t o = first; o < last; ++o)
          dots<1>(x.row(r), linear.weight.row(o), in, to + (o - first));
      }
      for (std::size_t o = first; o < last && !linear.bias.empty(); ++o)
        to[o - first] += linear.bias[o];
    }
  });
  return y;
}

Matrix apply(const LayerNorm& norm, const Matrix& x) {
  QHX_CHECK(norm.weight.size() == x.columns && norm.bias.size() == x.columns);
  Matrix y(x.rows, x.columns);
  const auto count = static_cast<double>(x.columns);
  for (std::size_t r = 0; r < x.rows; ++r) {
    const float* from = x.row(r);
    double sum = 0, squares = 0;
    for (std::size_t i = 0; i < x.columns; ++i) sum += static_cast<double>(from[i]);
    const double mean = sum / count;
    for (std::size_t i = 0; i < x.columns; ++i) {
      const double distance = static_cast<double>(from[i]) - mean;
      squares += distance * distance;
    }
    const double inverse = 1.0 / std::sqrt(squares / count + static_cast<double>(norm.epsilon));
    for (std::size_t i = 0; i < x.columns; ++i) {
      const auto normal = static_cast<float>((static_cast<double>(from[i]) - mean) * inverse);
      y.row(r)[i] = normal * norm.weight[i] + norm.bias[i];
    }
  }
  return y;
}

void rms_norm(std::span<const float> weight, float epsilon, Matrix& x) {
  const std::size_t size = weight.size();
  QHX_CHECK(size != 0 && x.columns % size == 0);
  for (std::size_t begin = 0; begin < x.values.size(); begin += size) {
    float* piece = x.values.data() + begin;
    double squares = 0;
    for (std::size_t i = 0; i < size; ++i)
      squares += static_cast<double>(piece[i]) * static_cast<double>(piece[i]);
    const double mean = squares / static_cast<double>(size);
    const auto inverse = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(epsilon)));
    for (std::size_t i = 0; i < size; ++i) piece[i] = piece[i] * inverse * weight[i];
  }
}

void add(Matrix& x, const Matrix& y) {
  QHX_CHECK(x.rows == y.rows && x.columns == y.columns);
  for (std::size_t i = 0; i < x.values.size(); ++i) x.values[i] += y.values[i];
}

void rotate_heads(Matrix& x, std::size_t head_dim, std::span<const float> cos,
                  std::span<const float> sin) {
  const std::size_t half = head_dim / 2;
  QHX_CHECK(x.columns % head_dim == 0 && cos.size() == x.rows * half && sin.size() == cos.size());
  for (std::size_t r = 0; r < x.rows; ++r) {
    const float* c = cos.data() + r * half;
    const float* s = sin.data() + r * half;
    for (float* head = x.row(r); head < x.row(r) + x.columns; head += head_dim) {
      for (std::size_t j = 0; j < half; ++j) {
        const float low = head[j], high = head[j + half];
        head[j] = low * c[j] - high * s[j];
        head[j + half] = high * c[j] + low * s[j];
      }
    }
  }
}

float gelu_tanh(float x) {
  constexpr float kFactor = 0.7978845608f;  // sqrt(2 / pi)
  return 0.5f * x * (1.0f + std::tanh(kFactor * (x + 0.044715f * x * x * x)));
}

float gelu_erf(float x) { return 0.5f * x * (1.0f + std::erf(x / std::numbers::sqrt2_v<float>)); }

float silu(float x) { return x / (1.0f + std::exp(-x)); }

Matrix attention(const AttentionShape& shape, const Matrix& q, const Matrix& k, const Matrix& v,
                 ThreadPool& pool) {
  const std::size_t dim = shape.head_dim, group = shape.n_heads / shape.n_kv_heads;
  QHX_CHECK(q.columns == shape.n_heads * dim && k.columns == shape.n_kv_heads * dim &&
            v.columns == k.columns);
  QHX_CHECK(k.rows == v.rows && (!shape.causal || k.rows >= q.rows));
  Matrix out(q.rows, q.columns);
  pool.run(q.rows * shape.n_heads, [&](std::size_t piece) {
    const std::size_t head = piece / q.rows, r = piece % q.rows;  // neighbours share keys
    const std::size_t visible = shape.causal ? k.rows - q.rows + r + 1 : k.rows;
    attend(shape, q.row(r) + head * dim, k, v, head / group, visible, out.row(r) + head * dim);
  });
  return out;
}

Matrix attention_scores(const AttentionShape& shape, const Matrix& q, const Matrix& k,
                        std::size_t head, ThreadPool& pool) {
  const std::size_t dim = shape.head_dim, kv_head = head / (shape.n_heads / shape.n_kv_heads);
  return apply(Linear{columns_of(k, kv_head * dim, dim), {}}, columns_of(q, head * dim, dim), pool);
}

Matrix columns_of(const Matrix& x, std::size_t first, std::size_t count) {
  QHX_CHECK(first + count <= x.columns);
  Matrix part(x.rows, count);
  for (std::size_t r = 0; r < x.rows; ++r)
    std::memcpy(part.row(r), x.row(r) + first, count * sizeof(float));
  return part;
}

}  // namespace qhx::reference
