// Micro-benchmarks of the CPU kernels at the shapes of Qwen3-VL 2B, for every target of this
// machine:
//
//   kernels_bench --benchmark_filter=avx2 --benchmark_format=json
//
// One thread. Compute-bound kernels report FLOP/s, memory-bound ones bytes/s of what they must read
// and write, and both the share of this machine's roof that they reach (roofs.h): `of_peak` and
// `of_memory`. Weights of the streamed products are larger together than a last-level cache, and
// are taken in turn.
//
// A new kernel is a line in model_shapes.h if it is a linear layer, else a function that ends in
// report_flops() or report_bytes() and a line in register_target().
#include <benchmark/benchmark.h>
#include <time.h>

#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/kernels.h"
#include "kernels/pack.h"
#include "kernels/quantized_rows.h"
#include "model_shapes.h"
#include "roofs.h"

namespace qhx::cpu {
namespace {

using benchmark::Counter;
using benchmark::State;

constexpr std::size_t kStreamBytes = std::size_t{256} << 20;

std::vector<float> floats(std::size_t n) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> value(-1.0f, 1.0f);
  std::vector<float> out(n);
  for (float& x : out) x = value(random);
  return out;
}

// CPU time of this thread since it was made. The library's own rate counters would print a share as
// "0.9/s".
class CpuClock {
 public:
  double seconds() const { return now() - start_; }

 private:
  static double now() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  }
  double start_ = now();
};

// `roof` in operations or bytes a second; 0: unknown.
void report(State& state, double seconds, const char* what, const char* share, double amount,
            double roof) {
  const double rate = amount * static_cast<double>(state.iterations()) / seconds;
  state.counters[std::string(what) + "/s"] = Counter(rate, Counter::kDefaults, Counter::kIs1000);
  if (roof > 0) state.counters[share] = rate / roof;
}
// Arithmetic in f32 unless the kernel multiplies something else.
void report_flops(State& state, const CpuClock& clock, const KernelTable* kernels, double flops,
                  const char* numbers = "f32") {
  const double seconds = clock.seconds();  // measuring the roof takes some, too
  report(state, seconds, "FLOP", "of_peak", flops, bench::peak_roof(kernels->name, numbers));
}
// Data that a cache holds is read faster than the roof, which is that of memory.
void report_bytes(State& state, const CpuClock& clock, double bytes) {
  const double seconds = clock.seconds();
  report(state, seconds, "bytes", "of_memory", bytes, bench::read_roof());
}

// Packed weights, `copies` layers of them one after the other. Any bytes are valid int8 and int4
// weights; as halves they are kept small and normal.
struct Layers {
  Layers(WeightType type, std::size_t n, std::size_t k, std::size_t group, std::size_t copies)
      : bytes_each(packed_bytes(type, n, k)),
        bytes(bytes_each * copies),
        scales(group == 0 ? packed_scales(n, k, group) : 0, 0.01f),
        group_scales(group == 0 ? 0 : packed_scales(n, k, group) * copies, 0x211F) {  // 0.01
    std::mt19937 random(2);
    for (std::uint32_t& word : bytes.as<std::uint32_t>()) {
      word = static_cast<std::uint32_t>(random());
      if (type == WeightType::kF16) word = (word & 0x83FF83FFu) | 0x2C002C00u;
    }
    weights = {.type = type,
               .n = n,
               .k = k,
               .group = group,
               .panels = bytes.data(),
               .scales = scales.data(),
               .group_scales = group_scales.data()};
  }
  void select(std::size_t copy) {
    weights.panels = bytes.data() + copy * bytes_each;
    if (!group_scales.empty())
      weights.group_scales =
          group_scales.data() + copy * packed_scales(weights.n, weights.k, weights.group);
  }
  // What a product with one of them reads.
  std::size_t bytes_read() const {
    return bytes_each +
           packed_scales(weights.n, weights.k, weights.group) * scale_size(weights.group);
  }
  std::size_t bytes_each;
  AlignedBuffer bytes;
  std::vector<float> scales;
  std::vector<std::uint16_t> group_scales;  // of each copy
  PackedWeights weights;
};

struct LinearShape {
  std::string name;
  WeightType type;
  std::size_t m, k, n, group;
  int levels;  // of activations in integers (kernel_table.h); 0: in f32
};

void bench_linear(State& state, const KernelTable* kernels, LinearShape s) {
  const bool streamed = s.m <= 4;
  const std::size_t copies = streamed ? kStreamBytes / packed_bytes(s.type, s.n, s.k) + 1 : 1;
  Layers layers(s.type, s.n, s.k, s.group, copies);
  const std::vector<float> x = floats(s.m * s.k);
  std::vector<float> y(s.m * s.n);
  AlignedBuffer scratch(linear_scratch_bytes(*kernels, s.type, s.group, s.k));
  const LinearArgs args{
      .weights = &layers.weights, .x = x.data(), .x_stride = s.k, .y = y.data(), .y_stride = s.n};
  AlignedBuffer quantized(quantized_bytes(s.m, s.k, s.levels));
  const IntegerRows rows = place_quantized(quantized.data(), s.m, s.k, s.levels);
  if (s.levels > 0) kernels->quantize(x.data(), s.k, 0, s.m, rows);
  const Slice slice{.row_end = s.m, .panel_end = panel_count(s.n)};
  std::size_t copy = 0;
  const CpuClock clock;
  for (auto _ : state) {
    layers.select(copy);
    copy = (copy + 1) % copies;
    if (s.levels > 0) {
      kernels->linear_integer(args, rows, s.levels, slice, scratch.data());
    } else {
      kernels->linear(args, slice, scratch.data());
    }
    benchmark::ClobberMemory();
  }
  if (streamed) report_bytes(state, clock, static_cast<double>(layers.bytes_read()));
  const double flops = 2.0 * static_cast<double>(s.m * s.k * s.n);
  // Each level is a product of its own.
  if (s.levels > 0) report_flops(state, clock, kernels, flops * s.levels, "int8");
  if (s.levels == 0) report_flops(state, clock, kernels, flops);
}

// Reads floats, writes what linear_integer takes.
void bench_quantize(State& state, const KernelTable* kernels, std::size_t m, std::size_t k,
                    int levels) {
  const std::vector<float> x = floats(m * k);
  AlignedBuffer quantized(quantized_bytes(m, k, levels));
  const IntegerRows rows = place_quantized(quantized.data(), m, k, levels);
  const CpuClock clock;
  for (auto _ : state) {
    kernels->quantize(x.data(), k, 0, m, rows);
    benchmark::ClobberMemory();
  }
  report_bytes(state, clock, static_cast<double>(4 * m * k + quantized.size()));
}

void bench_matmul(State& state, const KernelTable* kernels, bool transposed) {
  const std::size_t m = 1024, n = 1024, k = 1024;
  const std::vector<float> a = floats(m * k), b = floats(k * n);
  std::vector<float> c(m * n);
  AlignedBuffer scratch(kernels->gemm_scratch_bytes);
  const CpuClock clock;
  for (auto _ : state) {
    kernels->matmul({.a = a.data(),
                     .a_stride = k,
                     .b = b.data(),
                     .b_stride = transposed ? k : n,
                     .b_transposed = transposed,
                     .c = c.data(),
                     .c_stride = n,
                     .n = n,
                     .k = k},
                    {.row_end = m, .panel_end = panel_count(n)}, scratch.data());
    benchmark::ClobberMemory();
  }
  report_flops(state, clock, kernels, 2.0 * m * n * k);
}

// One vision head: 1024 patches see each other; rows are those of [1024, 3 * 1024].
void bench_attention_vision(State& state, const KernelTable* kernels, Rounding rounding) {
  const std::size_t tokens = 1024, d = 64, stride = 3072;
  const std::vector<float> qkv = floats(tokens * stride);
  std::vector<float> out(tokens * 1024);
  AlignedBuffer scratch(kernels->attention_scratch_bytes(d));
  AttentionArgs args{.q = qkv.data(),
                     .q_stride = stride,
                     .out = out.data(),
                     .out_stride = 1024,
                     .tokens = tokens,
                     .head_dim = d,
                     .scale = 0.125f,
                     .rounding = rounding};
  args.kv[1] = {KvType::kF32, qkv.data() + 1024, stride, qkv.data() + 2048, stride, tokens};
  const CpuClock clock;
  for (auto _ : state) {
    kernels->attention(args, scratch.data());
    benchmark::ClobberMemory();
  }
  report_flops(state, clock, kernels, 4.0 * static_cast<double>(tokens * tokens * d));
}

struct DecoderAttention {
  DecoderAttention(std::size_t past, std::size_t filled, std::size_t fresh)
      : q(floats(fresh * 2048)),
        kv(floats(fresh * 2048)),
        out(fresh * 2048),
        cache(2 * past * 128),
        mask(fresh * (past + fresh)) {
    for (std::uint16_t& h : cache.as<std::uint16_t>()) h = 0x2E66;
    for (std::size_t t = 0; t < fresh; ++t) {
      for (std::size_t j = 0; j < past + fresh; ++j) {
        const bool seen = j < past ? j < filled : j - past <= t;
        mask[t * (past + fresh) + j] = seen ? 0 : 0xFBFF;
      }
    }
    const std::uint16_t* const k = cache.as<std::uint16_t>().data();
    args = {.q = q.data(),
            .q_stride = 2048,
            .q_head_stride = 128,
            .out = out.data(),
            .out_stride = 2048,
            .out_head_stride = 128,
            .heads = 2,
            .tokens = fresh,
            .head_dim = 128};
    args.kv[0] = {KvType::kF16, k, 128, k + past * 128, 128, past};
    args.kv[1] = {KvType::kF32, kv.data(), 2048, kv.data() + 1024, 2048, fresh};
    args.mask = mask.data();
    args.mask_type = FloatType::kF16;
    args.mask_stride = past + fresh;
    args.scale = 0.088f;
  }
  std::vector<float> q, kv, out;
  AlignedBuffer cache;  // halves: K [past, 128], then V
  std::vector<std::uint16_t> mask;
  AttentionArgs args;
};

// One key/value head of a causal prefill of 320 tokens into an empty cache of 1024. Counts the
// visible half.
void bench_attention_prefill(State& state, const KernelTable* kernels, Rounding rounding) {
  DecoderAttention a(1024, 0, 320);
  a.cache = AlignedBuffer(2 * 2 * 1024 * 128);
  a.args.kv[0].k = a.args.kv[0].v = a.cache.data();
  a.args.rounding = rounding;
  AlignedBuffer scratch(kernels->attention_scratch_bytes(128));
  const CpuClock clock;
  for (auto _ : state) {
    kernels->attention(a.args, scratch.data());
    benchmark::ClobberMemory();
  }
  report_flops(state, clock, kernels, 4.0 * 2 * 320 * 321 / 2 * 128);
}

// One key/value head of a decode step with a full cache, of halves or of int8 with a scale for each
// row; bytes are those of keys, values and scales.
void bench_attention_decode(State& state, const KernelTable* kernels, KvType type) {
  const std::size_t past = 1024;
  const std::size_t row = 128 * (type == KvType::kI8 ? sizeof(std::int8_t) : sizeof(std::uint16_t));
  DecoderAttention a(past, past, 1);
  a.cache = AlignedBuffer(kStreamBytes);
  const std::size_t copies = kStreamBytes / (2 * past * row);
  std::memset(a.cache.data(), 0x2C, a.cache.size());
  const std::vector<float> scales(type == KvType::kI8 ? past : 0, 0.01f);
  AlignedBuffer scratch(kernels->attention_scratch_bytes(128));
  std::size_t copy = 0;
  const CpuClock clock;
  for (auto _ : state) {
    const std::byte* const k = a.cache.data() + copy * 2 * past * row;
    copy = (copy + 1) % copies;
    a.args.kv[0] = {type, k, 128, k + past * row, 128, past, scales.data(), scales.data()};
    kernels->attention(a.args, scratch.data());
    benchmark::ClobberMemory();
  }
  const std::size_t scale_bytes = 2 * scales.size() * sizeof(float);
  report_bytes(state, clock, static_cast<double>(2 * past * row + scale_bytes));
}

// As attention_decode with 20 filled rows: what skipping masked columns is worth.
void bench_attention_empty(State& state, const KernelTable* kernels) {
  DecoderAttention a(1024, 20, 1);
  a.cache = AlignedBuffer(2 * 2 * 1024 * 128);
  a.args.kv[0].k = a.args.kv[0].v = a.cache.data();
  AlignedBuffer scratch(kernels->attention_scratch_bytes(128));
  const CpuClock clock;
  for (auto _ : state) {
    kernels->attention(a.args, scratch.data());
    benchmark::ClobberMemory();
  }
}

// Row and elementwise kernels on [320, 6144] floats: run(x, y) once an iteration.
template <class Run>
void bench_rows(State& state, double streams, Run run) {
  const std::size_t n = 320 * 6144;
  const std::vector<float> x = floats(n);
  std::vector<float> y(n);
  const CpuClock clock;
  for (auto _ : state) {
    run(x.data(), y.data(), n);
    benchmark::ClobberMemory();
  }
  report_bytes(state, clock, streams * 4.0 * static_cast<double>(n));
}

void register_rows(const KernelTable* t, const std::string& suffix) {
  const auto add = [&](const char* name, double streams, auto run) {
    benchmark::RegisterBenchmark((name + suffix).c_str(),
                                 [=](State& state) { bench_rows(state, streams, run); });
  };
  const auto rows = [](const float* x, float* y, std::size_t n, std::size_t width) {
    return RowsArgs{x, width, y, width, n / width, width};
  };
  static const std::vector<float> ones(6144, 1.0f);
  add("rms_norm", 2, [=](const float* x, float* y, std::size_t n) {
    t->rms_norm(rows(x, y, n, 2048), ones.data(), 1e-6f);
  });
  add("layer_norm", 2, [=](const float* x, float* y, std::size_t n) {
    t->layer_norm(rows(x, y, n, 1024), ones.data(), ones.data(), 1e-6f);
  });
  add("softmax", 2,
      [=](const float* x, float* y, std::size_t n) { t->softmax(rows(x, y, n, 1024), 1.0f); });
  add("rope_norm", 2, [=](const float* x, float* y, std::size_t n) {
    t->rope({rows(x, y, n, 128), ones.data(), ones.data(), 0, false, ones.data(), 1e-6f});
  });
  add("silu_mul", 2, [=](const float* x, float* y, std::size_t n) { t->silu_mul(x, x, y, n); });
  add("add", 2, [=](const float* x, float* y, std::size_t n) {
    t->binary(BinaryOp::kAdd, x, 1, x, 1, y, n);
  });
  const std::pair<const char*, UnaryOp> unary[] = {{"gelu_tanh", UnaryOp::kGeluTanh},
                                                   {"gelu_erf", UnaryOp::kGeluErf},
                                                   {"exp", UnaryOp::kExp},
                                                   {"tanh", UnaryOp::kTanh}};
  for (const auto& [name, op] : unary) {
    add(name, 2, [=, op = op](const float* x, float* y, std::size_t n) { t->unary(op, x, y, n); });
  }
  add("f32_to_f16", 1.5, [=](const float* x, float* y, std::size_t n) {
    t->f32_to_f16(x, reinterpret_cast<std::uint16_t*>(y), n);
  });
  add("argmax", 1,
      [=](const float* x, float*, std::size_t n) { benchmark::DoNotOptimize(t->argmax(x, n)); });
}

// The model's linears in each format: weights, and for those that can be multiplied in integers
// activations of one and two levels ("_x1", "_x2").
std::vector<LinearShape> linear_shapes() {
  struct Format {
    const char* name;
    WeightType type;
    std::size_t group;
  };
  const Format formats[] = {{"f16", WeightType::kF16, 0},
                            {"i8", WeightType::kI8, 0},
                            {"i4", WeightType::kI4, 0},
                            {"i4_g32", WeightType::kI4, 32}};
  std::vector<LinearShape> shapes;
  for (const Format& format : formats) {
    for (const int levels : {0, 1, 2}) {
      if (levels > 0 && !has_integer_form(format.type, format.group)) continue;
      const std::string suffix = levels == 0 ? "" : "_x" + std::to_string(levels);
      for (const bench::ModelLinear& l : bench::kModelLinears) {
        const std::string name = std::string(l.stage) + "_" + l.layer + "_" + format.name + suffix;
        shapes.push_back({name, format.type, l.rows, l.k, l.n, format.group, levels});
      }
    }
  }
  return shapes;
}

void register_target(const KernelTable* table) {
  const std::string suffix = std::string("/") + table->name;
  for (const LinearShape& shape : linear_shapes()) {
    benchmark::RegisterBenchmark((shape.name + suffix).c_str(), bench_linear, table, shape);
  }
  const auto add = [&](const char* name, auto function, auto... more) {
    benchmark::RegisterBenchmark((name + suffix).c_str(), function, table, more...);
  };
  add("matmul_1024", bench_matmul, false);
  add("matmul_1024_transposed", bench_matmul, true);
  for (const int levels : {1, 2}) {
    const std::string x = "_x" + std::to_string(levels);
    add(("quantize_prefill_2048" + x).c_str(), bench_quantize, 320, 2048, levels);
    add(("quantize_prefill_6144" + x).c_str(), bench_quantize, 320, 6144, levels);
    add(("quantize_decode_2048" + x).c_str(), bench_quantize, 1, 2048, levels);
  }
  add("attention_vision", bench_attention_vision, Rounding::kNone);
  add("attention_vision_values_bf16", bench_attention_vision, Rounding::kValues);
  add("attention_vision_bf16", bench_attention_vision, Rounding::kAll);
  add("attention_prefill", bench_attention_prefill, Rounding::kNone);
  add("attention_prefill_values_bf16", bench_attention_prefill, Rounding::kValues);
  add("attention_prefill_bf16", bench_attention_prefill, Rounding::kAll);
  add("attention_decode_1024", bench_attention_decode, KvType::kF16);
  add("attention_decode_1024_int8", bench_attention_decode, KvType::kI8);
  add("attention_decode_20_of_1024", bench_attention_empty);
  register_rows(table, suffix);
}

}  // namespace
}  // namespace qhx::cpu

int main(int argc, char** argv) {
  for (const auto* table : qhx::cpu::supported_kernels()) qhx::cpu::register_target(table);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
