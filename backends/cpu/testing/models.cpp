#include "testing/models.h"

#include <algorithm>
#include <cmath>

#include "base/f16.h"

namespace qhx::cpu::testing {
namespace {

using Id = Graph::Id;
using Named = std::map<std::string, Values>;

constexpr Qnn_DataType_t kF16 = QNN_DATATYPE_FLOAT_16;
constexpr Qnn_DataType_t kF32 = QNN_DATATYPE_FLOAT_32;
constexpr Qnn_DataType_t kI8 = QNN_DATATYPE_INT_8;

// ---- Pieces of graphs ----

// A graph under construction whose tensors are of one activation type.
struct Builder {
  Graph& graph;
  Qnn_DataType_t type;

  Id fresh(Dims dims) { return graph.native(std::move(dims), type); }
  Id one(const std::string& op, std::vector<Id> inputs, Dims dims, std::vector<Param> params = {}) {
    const Id out = fresh(std::move(dims));
    graph.op(op, std::move(inputs), {out}, std::move(params));
    return out;
  }
  Id reshape(Id x, Dims dims) { return one("Reshape", {x}, std::move(dims)); }
  void reshape_to(Id x, Id out) { graph.op("Reshape", {x}, {out}); }
  Id swap_heads(Id x, Dims dims) {
    return one("Transpose", {x}, std::move(dims), {list("perm", {0, 2, 1, 3})});
  }
  Id add(Id a, Id b, Dims dims) {
    return one("ElementWiseBinary", {a, b}, std::move(dims), {integer("operation", 0)});
  }
  Id mul(Id a, Id b, Dims dims) {
    return one("ElementWiseBinary", {a, b}, std::move(dims), {integer("operation", 13)});
  }
  Id constant(const Values& values) {
    return graph.constant({static_cast<std::uint32_t>(values.size())}, values, type);
  }
  Id rms_norm(Id x, const Values& gamma, Dims dims) {
    return one("RmsNorm", {x, constant(gamma)}, std::move(dims),
               {number("epsilon", kEpsilon), list("axes", {3})});
  }
  Id layer_norm(Id x, const Values& gamma, const Values& beta, Dims dims) {
    return one("LayerNorm", {x, constant(gamma), constant(beta)}, std::move(dims),
               {number("epsilon", kEpsilon), list("axes", {3})});
  }
  Id conv(Id x, const RandomWeight& weight, std::uint32_t rows, const Values* bias = nullptr) {
    std::vector<Id> inputs = {x, add_weight(graph, weight, LinearForm::kConv2d)};
    if (bias != nullptr) inputs.push_back(constant(*bias));
    return one("Conv2d", inputs, {1, 1, rows, static_cast<std::uint32_t>(weight.n)},
               {list("stride", {1, 1}), list("pad_amount", {0, 0, 0, 0}, {2, 2})});
  }
  Id rope(Id x, Id cos, Id sin, Dims dims) {
    return one("RotaryEmbedding", {x, cos, sin}, std::move(dims), {boolean("interleaved", false)});
  }
};

Values rounded(Values values, Qnn_DataType_t type) {
  if (type == kF16) {
    for (float& v : values) v = f16_to_f32(f32_to_f16(v));
  }
  return values;
}

// ---- Plain arithmetic ----

using Gelu = float (*)(float);
float gelu_tanh(float x) {
  return 0.5f * x * (1.0f + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
}
float gelu_erf(float x) { return 0.5f * x * (1.0f + std::erf(x * 0.70710678f)); }

Values norm_rows(const Values& x, const Values& gamma, const Values* beta) {
  const std::size_t width = gamma.size();
  Values y(x.size());
  for (std::size_t r = 0; r < x.size() / width; ++r) {
    const float* row = x.data() + r * width;
    double mean = 0, square = 0;
    for (std::size_t i = 0; i < width; ++i) mean += row[i];
    mean = beta != nullptr ? mean / static_cast<double>(width) : 0.0;
    for (std::size_t i = 0; i < width; ++i) square += (row[i] - mean) * (row[i] - mean);
    const double scale = 1.0 / std::sqrt(square / static_cast<double>(width) + kEpsilon);
    for (std::size_t i = 0; i < width; ++i) {
      y[r * width + i] = static_cast<float>((row[i] - mean) * scale * gamma[i]) +
                         (beta != nullptr ? (*beta)[i] : 0.0f);
    }
  }
  return y;
}

void rotate(float* x, const float* cos, const float* sin, std::size_t width) {
  const std::size_t half = width / 2;
  for (std::size_t i = 0; i < half; ++i) {
    const float a = x[i], b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

Values sum(Values a, const Values& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
  return a;
}

Values linear(const Values& x, const RandomWeight& weight, const Values* bias = nullptr) {
  Values y = multiply(x, weight.dense, weight.k, weight.n);
  for (std::size_t i = 0; bias != nullptr && i < y.size(); ++i) y[i] += (*bias)[i % weight.n];
  return y;
}

// softmax(scale * (q k + mask)) v for one query row; keys[j], values[j] point to rows.
void attend(const float* q, const std::vector<const float*>& keys,
            const std::vector<const float*>& values, const float* mask, float scale,
            std::size_t width, float* out) {
  std::vector<double> weights(keys.size());
  double largest = -1e300, total = 0;
  for (std::size_t j = 0; j < keys.size(); ++j) {
    if (mask != nullptr && mask[j] <= -30000.0f) continue;
    double dot = 0;
    for (std::size_t i = 0; i < width; ++i) dot += double{q[i]} * keys[j][i];
    weights[j] = scale * (dot + (mask != nullptr ? mask[j] : 0.0f));
    largest = std::max(largest, weights[j]);
  }
  for (std::size_t j = 0; j < keys.size(); ++j) {
    const bool masked = mask != nullptr && mask[j] <= -30000.0f;
    weights[j] = masked ? 0.0 : std::exp(weights[j] - largest);
    total += weights[j];
  }
  for (std::size_t i = 0; i < width; ++i) {
    double value = 0;
    for (std::size_t j = 0; j < keys.size(); ++j) {
      if (weights[j] != 0.0) value += weights[j] * values[j][i];
    }
    out[i] = static_cast<float>(value / total);
  }
}

// Rows of floats to integers of -127 … 127; returns the rows' scales.
Values take_scales(Values& rows, std::size_t width) {
  Values scales;
  for (std::size_t at = 0; at < rows.size(); at += width) {
    float largest = 0;
    for (std::size_t i = at; i < at + width; ++i) largest = std::max(largest, std::abs(rows[i]));
    scales.push_back(largest / 127.0f);
    for (std::size_t i = at; i < at + width; ++i) rows[i] = std::nearbyint(rows[i] / scales.back());
  }
  return scales;
}

void give_scales(Values& rows, const Values& scales) {
  const std::size_t width = rows.size() / scales.size();
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] *= scales[i / width];
}

}  // namespace

Values Random::values(std::size_t count, float low, float high) {
  Values out(count);
  for (float& v : out) v = uniform(low, high);
  return out;
}

RandomWeight random_weight(Random& random, std::size_t k, std::size_t n, WeightForm form) {
  RandomWeight weight{.k = k,
                      .n = n,
                      .form = form,
                      .integers = {},
                      .scales = {},
                      .group = k,
                      .dense = Values(k * n)};
  const float size = 1.7f / std::sqrt(static_cast<float>(k));
  if (form == WeightForm::kF16 || form == WeightForm::kF32) {
    weight.dense = rounded(random.values(k * n, -size, size),
                           form == WeightForm::kF16 ? kF16 : QNN_DATATYPE_FLOAT_32);
    return weight;
  }
  const int most = form == WeightForm::kW8 ? 127 : 7;
  if (form == WeightForm::kW4Groups) weight.group = 16;
  const std::size_t groups = k / weight.group;
  for (std::size_t i = 0; i < n * groups; ++i) {
    weight.scales.push_back(size / static_cast<float>(most) * random.uniform(0.5f, 1.5f));
  }
  // The library keeps scales of groups as 16-bit floats.
  if (weight.form == WeightForm::kW4Groups) weight.scales = rounded(weight.scales, kF16);
  weight.integers.resize(k * n);
  for (std::size_t i = 0; i < k * n; ++i) {
    weight.integers[i] = static_cast<std::int8_t>(random.integer(-most, most));
    weight.dense[i] = static_cast<float>(weight.integers[i]) *
                      weight.scales[i % n * groups + i / n / weight.group];
  }
  return weight;
}

Graph::Id add_weight(Graph& graph, const RandomWeight& weight, LinearForm form) {
  const auto k = static_cast<std::uint32_t>(weight.k), n = static_cast<std::uint32_t>(weight.n);
  const bool output_major =
      form == LinearForm::kMatMulTransposed || form == LinearForm::kFullyConnected;
  Dims dims = output_major ? Dims{n, k} : Dims{k, n};
  if (form == LinearForm::kConv2d) dims = {1, 1, k, n};
  const auto place = [&](std::size_t i) { return output_major ? i % n * k + i / n : i; };
  if (weight.integers.empty()) {
    Values values(weight.dense.size());
    for (std::size_t i = 0; i < values.size(); ++i) values[place(i)] = weight.dense[i];
    return graph.constant(dims, values,
                          weight.form == WeightForm::kF16 ? kF16 : QNN_DATATYPE_FLOAT_32);
  }
  Weight out{.dims = dims,
             .values = std::vector<std::int8_t>(weight.integers.size()),
             .scales = weight.scales};
  for (std::size_t i = 0; i < weight.integers.size(); ++i)
    out.values[place(i)] = weight.integers[i];
  out.axis = output_major ? 0 : static_cast<std::int32_t>(dims.size()) - 1;
  if (weight.form == WeightForm::kW4) out.encoding = QNN_QUANTIZATION_ENCODING_BW_AXIS_SCALE_OFFSET;
  if (weight.form == WeightForm::kW4Groups) {
    out.encoding = QNN_QUANTIZATION_ENCODING_BLOCK;
    out.block.assign(dims.size(), 1);
    out.block[output_major ? 1 : dims.size() - 2] = static_cast<std::uint32_t>(weight.group);
  }
  return graph.weight(out);
}

// ---- Decoder ----

Decoder build_decoder(Graph& graph, const DecoderShape& s, std::uint32_t seed) {
  Random random(seed);
  Decoder decoder;
  Builder b{graph, s.activations};
  const std::uint32_t T = s.tokens, C = s.context, H = s.hidden, Q = s.query_heads, G = s.kv_heads,
                      D = s.head_dim;
  const std::uint32_t rep = Q / G;
  const bool casts = s.activations != kF16;
  const auto input = [&](const std::string& name, Dims dims, Qnn_DataType_t type) {
    decoder.edges.inputs.push_back({name, dims, type});
    return graph.input(name, dims, type);
  };
  const auto output = [&](const std::string& name, Dims dims, Qnn_DataType_t type) {
    decoder.edges.outputs.push_back({name, dims, type});
    return graph.output(name, dims, type);
  };
  const auto gammas = [&](std::size_t n) {
    return rounded(random.values(n, 0.5f, 1.5f), s.activations);
  };

  const Id x = input("x", {T, H}, s.activations);
  const Id cos = b.reshape(input("cos", {T, D / 2}, s.activations), {1, T, D / 2});
  const Id sin = b.reshape(input("sin", {T, D / 2}, s.activations), {1, T, D / 2});
  Id mask = b.reshape(input("mask", {T, C + T}, s.activations), {1, 1, T, C + T});
  if (rep > 1)
    mask = b.one("Tile", {mask}, {1, 1, rep * T, C + T}, {list("multiples", {1, 1, rep, 1})});
  Id h = b.reshape(x, {1, 1, T, H});
  for (std::uint32_t i = 0; i < s.layers; ++i) {
    const std::string suffix = "_" + std::to_string(i);
    DecoderLayer& l = decoder.layers.emplace_back(
        DecoderLayer{.input_norm = gammas(H),
                     .q_norm = gammas(D),
                     .k_norm = gammas(D),
                     .post_norm = gammas(H),
                     .q = random_weight(random, H, Q * D, s.weights),
                     .k = random_weight(random, H, G * D, s.weights),
                     .v = random_weight(random, H, G * D, s.weights),
                     .o = random_weight(random, Q * D, H, s.weights),
                     .gate = random_weight(random, H, s.ffn, s.weights),
                     .up = random_weight(random, H, s.ffn, s.weights),
                     .down = random_weight(random, s.ffn, H, s.weights)});
    const auto heads = [&](Id y, const Values& gamma, std::uint32_t n) {
      y = b.rms_norm(b.reshape(y, {1, T, n, D}), gamma, {1, T, n, D});
      return b.rope(b.swap_heads(y, {1, n, T, D}), cos, sin, {1, n, T, D});
    };
    const auto past = [&](const std::string& name) {
      if (s.int8_cache) {
        const Id bytes = input(name + suffix, {G, C, D}, kI8);
        const Id scales = input(name + "_scale" + suffix, {G, C, 1}, kF32);
        const Id values = b.mul(b.one("Cast", {bytes}, {G, C, D}), scales, {G, C, D});
        return b.reshape(values, {1, G, C, D});
      }
      Id p = input(name + suffix, {G, C, D}, kF16);
      if (casts) p = b.one("Cast", {p}, {G, C, D});
      return b.reshape(p, {1, G, C, D});
    };
    // Returns what attention reads: of bytes, their meaning.
    const auto emit = [&](Id y, const std::string& name) {
      if (s.int8_cache) {
        const Dims rows = {1, G, T, D}, scalars = {1, G, T, 1};
        const auto number_of = [&](float n) { return graph.constant({1, 1, 1, 1}, {n}); };
        Id scale = b.one("ElementWiseUnary", {y}, rows, {integer("operation", 0)});
        scale =
            b.one("ReduceMax", {scale}, scalars, {list("axes", {3}), boolean("keep_dims", true)});
        scale = b.one("ElementWiseBinary", {scale, number_of(1e-30f)}, scalars,
                      {integer("operation", 10)});
        scale = b.mul(scale, number_of(1.0f / 127.0f), scalars);
        b.reshape_to(scale, output(name + "_scale" + suffix, {G, T, 1}, kF32));
        y = b.one("ElementWiseBinary", {y, scale}, rows, {integer("operation", 2)});
        y = b.one("ElementWiseUnary", {y}, rows, {integer("operation", 11)});
        graph.op("Cast", {b.reshape(y, {G, T, D})}, {output(name + suffix, {G, T, D}, kI8)});
        return b.mul(y, scale, rows);
      }
      const Id out = output(name + suffix, {G, T, D}, kF16);
      if (casts) {
        graph.op("Cast", {b.reshape(y, {G, T, D})}, {out});
      } else {
        b.reshape_to(y, out);
      }
      return y;
    };
    Id n = b.rms_norm(h, l.input_norm, {1, 1, T, H});
    Id q = heads(b.conv(n, l.q, T), l.q_norm, Q);
    if (rep > 1) q = b.reshape(q, {1, G, rep * T, D});
    const Id k = emit(heads(b.conv(n, l.k, T), l.k_norm, G), "new_k");
    const Id v =
        emit(b.swap_heads(b.reshape(b.conv(n, l.v, T), {1, T, G, D}), {1, G, T, D}), "new_v");
    const Id kk = b.one("Concat", {past("past_k"), k}, {1, G, C + T, D}, {integer("axis", 2)});
    const Id vv = b.one("Concat", {past("past_v"), v}, {1, G, C + T, D}, {integer("axis", 2)});
    Id sc = b.one("MatMul", {q, kk}, {1, G, rep * T, C + T}, {boolean("transpose_in1", true)});
    sc = b.add(sc, mask, {1, G, rep * T, C + T});
    const Id p =
        b.one("Softmax", {sc}, {1, G, rep * T, C + T},
              {integer("axis", 3), number("beta", 1.0 / std::sqrt(static_cast<double>(D)))});
    Id o = b.one("MatMul", {p, vv}, {1, G, rep * T, D});
    if (rep > 1) o = b.reshape(o, {1, Q, T, D});
    o = b.reshape(b.swap_heads(o, {1, T, Q, D}), {1, 1, T, Q * D});
    h = b.add(h, b.conv(o, l.o, T), {1, 1, T, H});
    n = b.rms_norm(h, l.post_norm, {1, 1, T, H});
    const Id g = b.conv(n, l.gate, T), u = b.conv(n, l.up, T);
    const Id sig = b.one("ElementWiseNeuron", {g}, {1, 1, T, s.ffn}, {integer("operation", 6)});
    const Id a = b.mul(b.mul(g, sig, {1, 1, T, s.ffn}), u, {1, 1, T, s.ffn});
    h = b.add(h, b.conv(a, l.down, T), {1, 1, T, H});
    if (s.deepstack) {
      h = b.add(h, b.reshape(input("deepstack" + suffix, {T, H}, s.activations), {1, 1, T, H}),
                {1, 1, T, H});
    }
  }
  decoder.final_norm = gammas(H);
  b.reshape_to(b.rms_norm(h, decoder.final_norm, {1, 1, T, H}), output("y", {T, H}, s.activations));
  return decoder;
}

Named decoder_inputs(const DecoderShape& s, std::uint32_t past, std::uint32_t seed, float filler) {
  Random random(seed);
  const std::uint32_t C = s.context, D = s.head_dim;
  Named inputs;
  inputs["x"] = rounded(random.values(std::size_t{s.tokens} * s.hidden, -1, 1), s.activations);
  Values& cos = inputs["cos"];
  Values& sin = inputs["sin"];
  for (std::uint32_t t = 0; t < s.tokens; ++t) {
    for (std::uint32_t i = 0; i < D / 2; ++i) {
      const float angle = static_cast<float>(past + t) *
                          std::pow(10000.0f, -2.0f * static_cast<float>(i) / static_cast<float>(D));
      cos.push_back(std::cos(angle));
      sin.push_back(std::sin(angle));
    }
  }
  cos = rounded(cos, s.activations);
  sin = rounded(sin, s.activations);
  Values& mask = inputs["mask"];
  for (std::uint32_t t = 0; t < s.tokens; ++t) {
    for (std::uint32_t j = 0; j < C + s.tokens; ++j) {
      const bool visible = j < C ? j < past : j - C <= t;
      mask.push_back(visible ? 0.0f : -65504.0f);
    }
  }
  for (std::uint32_t i = 0; i < s.layers; ++i) {
    for (const char* name : {"past_k_", "past_v_"}) {
      Values cache = rounded(random.values(std::size_t{s.kv_heads} * C * D, -1, 1), kF16);
      for (std::size_t e = 0; e < cache.size(); ++e) {
        if (e / D % C >= past) cache[e] = filler;
      }
      if (s.int8_cache) {
        // The filler is that of scales: bytes have no values to stumble over.
        Values& scales = inputs[std::string(name) + "scale_" + std::to_string(i)];
        scales = random.values(std::size_t{s.kv_heads} * C, 0.002f, 0.008f);
        for (std::size_t row = 0; row < scales.size(); ++row) {
          if (row % C >= past) scales[row] = filler;
        }
        for (float& value : cache) value = std::isfinite(value) ? std::nearbyint(127 * value) : 1;
      }
      inputs[name + std::to_string(i)] = std::move(cache);
    }
    if (s.deepstack) {
      inputs["deepstack_" + std::to_string(i)] =
          rounded(random.values(std::size_t{s.tokens} * s.hidden, -1, 1), s.activations);
    }
  }
  return inputs;
}

Named run_decoder(const Decoder& decoder, const DecoderShape& s, const Named& inputs) {
  const std::size_t T = s.tokens, C = s.context, Q = s.query_heads, G = s.kv_heads, D = s.head_dim;
  const Values &cos = inputs.at("cos"), &sin = inputs.at("sin"), &mask = inputs.at("mask");
  Named outputs;
  const auto heads = [&](Values y, const Values& gamma, std::size_t n) {
    y = norm_rows(y, gamma, nullptr);
    for (std::size_t r = 0; r < T * n; ++r) {
      rotate(y.data() + r * D, cos.data() + r / n * (D / 2), sin.data() + r / n * (D / 2), D);
    }
    return y;
  };
  const auto head_major = [&](const Values& y) {
    Values out(y.size());
    for (std::size_t r = 0; r < T * G; ++r) {
      std::copy_n(y.data() + r * D, D, out.data() + (r % G * T + r / G) * D);
    }
    return out;
  };
  Values h = inputs.at("x");
  for (std::size_t i = 0; i < decoder.layers.size(); ++i) {
    const DecoderLayer& l = decoder.layers[i];
    const std::string suffix = "_" + std::to_string(i);
    const Values n = norm_rows(h, l.input_norm, nullptr);
    const Values q = heads(linear(n, l.q), l.q_norm, Q);
    Values k = heads(linear(n, l.k), l.k_norm, G), v = linear(n, l.v);
    outputs["new_k" + suffix] = head_major(k);
    outputs["new_v" + suffix] = head_major(v);
    Values past_k = inputs.at("past_k" + suffix), past_v = inputs.at("past_v" + suffix);
    if (s.int8_cache) {
      for (const char* name : {"new_k", "new_v"})
        outputs[std::string(name) + "_scale" + suffix] = take_scales(outputs[name + suffix], D);
      give_scales(past_k, inputs.at("past_k_scale" + suffix));
      give_scales(past_v, inputs.at("past_v_scale" + suffix));
      for (Values* rows : {&k, &v}) {
        const Values scales = take_scales(*rows, D);
        give_scales(*rows, scales);
      }
    }
    Values o(T * Q * D);
    for (std::size_t g = 0; g < G; ++g) {
      std::vector<const float*> keys, values;
      for (std::size_t j = 0; j < C; ++j) {
        keys.push_back(past_k.data() + (g * C + j) * D);
        values.push_back(past_v.data() + (g * C + j) * D);
      }
      for (std::size_t t = 0; t < T; ++t) {
        keys.push_back(k.data() + (t * G + g) * D);
        values.push_back(v.data() + (t * G + g) * D);
      }
      for (std::size_t r = 0; r < T * (Q / G); ++r) {
        const std::size_t t = r % T, row = t * Q + g * (Q / G) + r / T;
        attend(q.data() + row * D, keys, values, mask.data() + t * (C + T),
               1.0f / std::sqrt(static_cast<float>(D)), D, o.data() + row * D);
      }
    }
    h = sum(h, linear(o, l.o));
    const Values m = norm_rows(h, l.post_norm, nullptr);
    Values a = linear(m, l.gate);
    const Values u = linear(m, l.up);
    for (std::size_t e = 0; e < a.size(); ++e) a[e] = a[e] / (1.0f + std::exp(-a[e])) * u[e];
    h = sum(h, linear(a, l.down));
    if (s.deepstack) h = sum(h, inputs.at("deepstack" + suffix));
  }
  outputs["y"] = norm_rows(h, decoder.final_norm, nullptr);
  return outputs;
}

// ---- Vision ----

Vision build_vision(Graph& graph, const VisionShape& s, std::uint32_t seed) {
  Random random(seed);
  Vision vision;
  Builder b{graph, s.activations};
  const std::uint32_t N = s.patches, H = s.hidden, D = H / s.heads, M = N / s.merge,
                      W = s.merge * H;
  const auto some = [&](std::size_t n, float low, float high) {
    return rounded(random.values(n, low, high), s.activations);
  };
  vision.cos = some(std::size_t{N} * D / 2, -1, 1);
  vision.sin = some(std::size_t{N} * D / 2, -1, 1);
  const Id cos = graph.constant({1, N, D / 2}, vision.cos, s.activations);
  const Id sin = graph.constant({1, N, D / 2}, vision.sin, s.activations);
  vision.edges.inputs.push_back({"patches", {N, H}, s.activations});
  Id h = b.reshape(graph.input("patches", {N, H}, s.activations), {1, 1, N, H});
  for (std::uint32_t i = 0; i < s.blocks; ++i) {
    VisionBlock& l =
        vision.blocks.emplace_back(VisionBlock{.norm1_gamma = some(H, 0.5f, 1.5f),
                                               .norm1_beta = some(H, -0.2f, 0.2f),
                                               .norm2_gamma = some(H, 0.5f, 1.5f),
                                               .norm2_beta = some(H, -0.2f, 0.2f),
                                               .bq = some(H, -0.2f, 0.2f),
                                               .bk = some(H, -0.2f, 0.2f),
                                               .bv = some(H, -0.2f, 0.2f),
                                               .bo = some(H, -0.2f, 0.2f),
                                               .b1 = some(s.ffn, -0.2f, 0.2f),
                                               .b2 = some(H, -0.2f, 0.2f),
                                               .q = random_weight(random, H, H, s.weights),
                                               .k = random_weight(random, H, H, s.weights),
                                               .v = random_weight(random, H, H, s.weights),
                                               .o = random_weight(random, H, H, s.weights),
                                               .fc1 = random_weight(random, H, s.ffn, s.weights),
                                               .fc2 = random_weight(random, s.ffn, H, s.weights)});
    const auto heads = [&](Id y) {
      return b.swap_heads(b.reshape(y, {1, N, s.heads, D}), {1, s.heads, N, D});
    };
    Id n = b.layer_norm(h, l.norm1_gamma, l.norm1_beta, {1, 1, N, H});
    const Id q = b.rope(heads(b.conv(n, l.q, N, &l.bq)), cos, sin, {1, s.heads, N, D});
    const Id k = b.rope(heads(b.conv(n, l.k, N, &l.bk)), cos, sin, {1, s.heads, N, D});
    const Id v = heads(b.conv(n, l.v, N, &l.bv));
    const Id sc = b.one("MatMul", {q, k}, {1, s.heads, N, N}, {boolean("transpose_in1", true)});
    const Id p =
        b.one("Softmax", {sc}, {1, s.heads, N, N},
              {integer("axis", 3), number("beta", 1.0 / std::sqrt(static_cast<double>(D)))});
    const Id o = b.one("MatMul", {p, v}, {1, s.heads, N, D});
    h = b.add(h,
              b.conv(b.reshape(b.swap_heads(o, {1, N, s.heads, D}), {1, 1, N, H}), l.o, N, &l.bo),
              {1, 1, N, H});
    n = b.layer_norm(h, l.norm2_gamma, l.norm2_beta, {1, 1, N, H});
    const Id f = b.one("ElementWiseNeuron", {b.conv(n, l.fc1, N, &l.b1)}, {1, 1, N, s.ffn},
                       {integer("operation", 1)});
    h = b.add(h, b.conv(f, l.fc2, N, &l.b2), {1, 1, N, H});
  }
  const std::uint32_t out = s.out != 0 ? s.out : H;
  vision.merger_gamma = some(H, 0.5f, 1.5f);
  vision.merger_beta = some(H, -0.2f, 0.2f);
  vision.merger_b1 = some(W, -0.2f, 0.2f);
  vision.merger_b2 = some(out, -0.2f, 0.2f);
  vision.merger_fc1 = random_weight(random, W, W, s.weights);
  vision.merger_fc2 = random_weight(random, W, out, s.weights);
  Id m = b.reshape(b.layer_norm(h, vision.merger_gamma, vision.merger_beta, {1, 1, N, H}),
                   {1, 1, M, W});
  m = b.one("Gelu", {b.conv(m, vision.merger_fc1, M, &vision.merger_b1)}, {1, 1, M, W});
  vision.edges.outputs.push_back({"image_embeds", {M, out}, s.activations});
  b.reshape_to(b.conv(m, vision.merger_fc2, M, &vision.merger_b2),
               graph.output("image_embeds", {M, out}, s.activations));
  return vision;
}

Values run_vision(const Vision& vision, const VisionShape& s, const Values& patches) {
  const std::size_t N = s.patches, H = s.hidden, D = H / s.heads;
  Values h = patches;
  for (const VisionBlock& l : vision.blocks) {
    const Values n = norm_rows(h, l.norm1_gamma, &l.norm1_beta);
    Values q = linear(n, l.q, &l.bq), k = linear(n, l.k, &l.bk);
    const Values v = linear(n, l.v, &l.bv);
    for (Values* y : {&q, &k}) {
      for (std::size_t r = 0; r < N * s.heads; ++r) {
        rotate(y->data() + r * D, vision.cos.data() + r / s.heads * (D / 2),
               vision.sin.data() + r / s.heads * (D / 2), D);
      }
    }
    Values o(N * H);
    for (std::size_t head = 0; head < s.heads; ++head) {
      std::vector<const float*> keys, values;
      for (std::size_t j = 0; j < N; ++j) {
        keys.push_back(k.data() + j * H + head * D);
        values.push_back(v.data() + j * H + head * D);
      }
      for (std::size_t r = 0; r < N; ++r) {
        attend(q.data() + r * H + head * D, keys, values, nullptr,
               1.0f / std::sqrt(static_cast<float>(D)), D, o.data() + r * H + head * D);
      }
    }
    h = sum(h, linear(o, l.o, &l.bo));
    Values f = linear(norm_rows(h, l.norm2_gamma, &l.norm2_beta), l.fc1, &l.b1);
    for (float& x : f) x = gelu_tanh(x);
    h = sum(h, linear(f, l.fc2, &l.b2));
  }
  Values m = linear(norm_rows(h, vision.merger_gamma, &vision.merger_beta), vision.merger_fc1,
                    &vision.merger_b1);
  for (float& x : m) x = gelu_erf(x);
  return linear(m, vision.merger_fc2, &vision.merger_b2);
}

Values multiply(const Values& x, const Values& dense, std::size_t k, std::size_t n) {
  const std::size_t rows = x.size() / k;
  Values y(rows * n);
  std::vector<double> row(n);
  for (std::size_t r = 0; r < rows; ++r) {
    std::fill(row.begin(), row.end(), 0.0);
    for (std::size_t i = 0; i < k; ++i) {
      const double value = x[r * k + i];
      for (std::size_t c = 0; c < n; ++c) row[c] += value * dense[i * n + c];
    }
    for (std::size_t c = 0; c < n; ++c) y[r * n + c] = static_cast<float>(row[c]);
  }
  return y;
}

double relative_error(const Values& a, const Values& b) {
  if (a.size() != b.size()) return 1e300;
  double difference = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    size += double{b[i]} * b[i];
  }
  if (std::isnan(difference)) return 1e300;
  return size == 0 ? std::sqrt(difference) : std::sqrt(difference / size);
}

}  // namespace qhx::cpu::testing
