// oneDNN's matrix products at the shapes of kernels_bench, for the table of docs/performance.md:
//
//   export OCL_ICD_FILENAMES=FOLDER/lib/libintelocl.so LD_LIBRARY_PATH=FOLDER/lib
//   DPCPP_CPU_NUM_CUS=1 taskset -c 0 build/bin/onednn_bench --benchmark_filter=vision
//
// where FOLDER is an environment with the package onednn-devel, whose products run on an OpenCL
// device that is the CPU (hence real time, and nothing else may run).
//
// Weights are in the layout that oneDNN asks for. Forms: "f32"; "bf16", both operands; "w8_f32" and
// "w8_bf16", weights int8 with a scale for each channel, activations float, products in f32 or
// bf16; "int8", both operands bytes, one scale for all activations: without groups along K, so
// beyond what a model's outliers allow, and measured as a bound.
#include <benchmark/benchmark.h>

#include <array>
#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string>
#include <unordered_map>

#include "model_shapes.h"

namespace {

using dnnl::memory;
using Type = memory::data_type;

struct Form {
  const char* name;
  Type x, weights;
  std::optional<dnnl::fpmath_mode> math;  // of products with weights that are integers
};
const std::array kForms{
    Form{"f32", Type::f32, Type::f32, {}},
    Form{"bf16", Type::bf16, Type::bf16, {}},
    Form{"w8_f32", Type::f32, Type::s8, dnnl::fpmath_mode::strict},
    Form{"w8_bf16", Type::f32, Type::s8, dnnl::fpmath_mode::bf16},
    Form{"int8", Type::s8, Type::s8, {}},
};
// Weights of few rows are taken in turn, together larger than a last-level cache.
constexpr std::size_t kStreamBytes = std::size_t{256} << 20;

memory zeros(const memory::desc& layout, const dnnl::engine& engine) {
  memory out(layout, engine);
  std::fill_n(static_cast<std::uint8_t*>(out.get_data_handle()), layout.get_size(),
              std::uint8_t{0});
  return out;
}

void bench_matmul(benchmark::State& state, const qhx::bench::ModelLinear& shape, const Form& form) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto m = static_cast<memory::dim>(shape.rows), k = static_cast<memory::dim>(shape.k),
             n = static_cast<memory::dim>(shape.n);
  dnnl::primitive_attr attributes;
  const bool scaled = form.weights == Type::s8;
  if (scaled) attributes.set_scales(DNNL_ARG_WEIGHTS, 1 << 1, {}, Type::f32);
  if (form.math) attributes.set_fpmath_mode(*form.math, true);
  std::optional<dnnl::matmul::primitive_desc> description;
  try {
    description.emplace(engine, memory::desc({m, k}, form.x, memory::format_tag::ab),
                        memory::desc({k, n}, form.weights, memory::format_tag::any),
                        memory::desc({m, n}, Type::f32, memory::format_tag::ab), attributes);
  } catch (const dnnl::error& error) {
    return state.SkipWithError(error.what());
  }
  const dnnl::matmul matmul(*description);
  const std::size_t bytes = description->weights_desc().get_size();
  std::vector<memory> weights;
  const std::size_t copies = shape.rows <= 4 ? kStreamBytes / bytes + 1 : 1;
  for (std::size_t i = 0; i < copies; ++i)
    weights.push_back(zeros(description->weights_desc(), engine));
  std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, zeros(description->src_desc(), engine)},
      {DNNL_ARG_DST, zeros(description->dst_desc(), engine)}};
  if (scaled)
    arguments[DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS] =
        zeros(memory::desc({n}, Type::f32, memory::format_tag::a), engine);
  std::size_t turn = 0;
  for (auto _ : state) {
    arguments[DNNL_ARG_WEIGHTS] = weights[turn];
    turn = (turn + 1) % copies;
    matmul.execute(stream, arguments);
    stream.wait();
  }
  const double flops = 2.0 * static_cast<double>(m * k * n);
  state.counters["FLOP/s"] =
      benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(description->impl_info_str());
}

}  // namespace

int main(int argc, char** argv) {
  for (const Form& form : kForms) {
    for (const qhx::bench::ModelLinear& shape : qhx::bench::kModelLinears) {
      const std::string name =
          std::string(shape.stage) + "_" + shape.layer + "_" + form.name + "/onednn";
      benchmark::RegisterBenchmark(name.c_str(), [&](benchmark::State& state) {
        bench_matmul(state, shape, form);
      })->UseRealTime();
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
