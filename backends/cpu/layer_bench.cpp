// Times of pieces of a 2B-shaped model through the library's C interface: layer_bench [threads].
// One line each: piece, median milliseconds of several runs, and, less disturbed by other programs,
// CPU time of all threads for a run.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>

#include "testing/client.h"
#include "testing/models.h"

namespace qhx::cpu::testing {
namespace {

struct Time {
  double wall_ms, cpu_ms;
};

Time time_of(Executor& executor, int runs) {
  std::vector<double> times;
  double cpu_ms = 0;
  for (int i = 0; i <= runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t cpu_start = std::clock();
    if (executor.run() != 0) {
      std::fprintf(stderr, "%s", Client::take_log().c_str());
      return {};
    }
    if (i == 0) continue;  // the first allocates and touches memory
    cpu_ms += 1000.0 * static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC;
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], cpu_ms / runs};
}

void print_nodes(Client& client, Executor& executor) {
  const auto& api = Client::api();
  Qnn_ProfileHandle_t profile = nullptr;
  api.profileCreate(client.backend(), 2, &profile);
  executor.run(profile);
  const std::uint64_t *events = nullptr, *nodes = nullptr;
  std::uint32_t count = 0;
  api.profileGetEvents(profile, &events, &count);
  api.profileGetSubEvents(events[0], &nodes, &count);
  for (std::uint32_t i = 0; i < count; ++i) {
    QnnProfile_EventData_t data{};
    api.profileGetEventData(nodes[i], &data);
    std::printf("    %-24s %8.3f ms\n", data.identifier, static_cast<double>(data.value) / 1000.0);
  }
  api.profileFree(profile);
}

void bench_decoder(Client& client, std::uint32_t tokens, std::uint32_t past, WeightForm form,
                   const char* label) {
  const DecoderShape shape{.tokens = tokens,
                           .context = 1024,
                           .hidden = 2048,
                           .query_heads = 16,
                           .kv_heads = 8,
                           .head_dim = 128,
                           .ffn = 6144,
                           .layers = 1,
                           .weights = form};
  Graph graph(client.new_context(), "decoder");
  const Decoder decoder = build_decoder(graph, shape, 1);
  const auto start = std::chrono::steady_clock::now();
  if (graph.finalize() != 0) {
    std::fprintf(stderr, "%s", Client::take_log().c_str());
    return;
  }
  const double finalize =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  Executor executor(graph.handle(), decoder.edges.inputs, decoder.edges.outputs);
  for (const auto& [name, values] : decoder_inputs(shape, past, 2)) executor.set(name, values);
  const Time time = time_of(executor, tokens == 1 ? 41 : 7);
  std::printf("decoder layer %s, T=%u, past %u of 1024: %.3f ms, cpu %.3f ms (finalize %.0f ms)\n", label,
              tokens, past, time.wall_ms, time.cpu_ms, finalize);
  print_nodes(client, executor);
}

void bench_vision(Client& client, WeightForm form, const char* label) {
  const VisionShape shape{.patches = 1024,
                          .hidden = 1024,
                          .heads = 16,
                          .ffn = 4096,
                          .blocks = 1,
                          .out = 2048,
                          .weights = form};
  Graph graph(client.new_context(), "vision");
  const Vision vision = build_vision(graph, shape, 1);
  if (graph.finalize() != 0) {
    std::fprintf(stderr, "%s", Client::take_log().c_str());
    return;
  }
  Executor executor(graph.handle(), vision.edges.inputs, vision.edges.outputs);
  executor.set("patches", Random(3).values(1024 * 1024, -1, 1));
  const Time time = time_of(executor, 5);
  std::printf("vision block and merger %s, 1024 patches: %.1f ms, cpu %.1f ms\n", label,
              time.wall_ms, time.cpu_ms);
  print_nodes(client, executor);
}

}  // namespace
}  // namespace qhx::cpu::testing

int main(int argc, char** argv) {
  using namespace qhx::cpu::testing;
  std::vector<std::string> options;
  if (argc > 1) options.push_back("qhx.threads:" + std::string(argv[1]));
  Client client(options);
  std::printf("%s", Client::take_log().c_str());
  bench_decoder(client, 1, 64, WeightForm::kW8, "W8");
  bench_decoder(client, 1, 1000, WeightForm::kW8, "W8");
  bench_decoder(client, 1, 64, WeightForm::kW4, "W4");
  bench_decoder(client, 1, 64, WeightForm::kF16, "f16");
  bench_decoder(client, 320, 0, WeightForm::kW8, "W8");
  bench_decoder(client, 320, 640, WeightForm::kW8, "W8");
  bench_vision(client, WeightForm::kW8, "W8");
  bench_vision(client, WeightForm::kF16, "f16");
  return 0;
}
