// Times of pieces of a 2B-shaped model through the library's C interface: layer_bench [threads].
// One line each: piece, median milliseconds of several runs.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>

#include "testing/client.h"
#include "testing/models.h"

namespace qhx::cpu::testing {
namespace {

double median_ms(Executor& executor, int runs) {
  std::vector<double> times;
  for (int i = 0; i < runs; ++i) {
    const auto start = std::chrono::steady_clock::now();
    if (executor.run() != 0) {
      std::fprintf(stderr, "%s", Client::take_log().c_str());
      return -1;
    }
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
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
  const double time = median_ms(executor, tokens == 1 ? 41 : 7);
  std::printf("decoder layer %s, T=%u, past %u of 1024: %.3f ms (finalize %.0f ms)\n", label,
              tokens, past, time, finalize);
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
  std::printf("vision block and merger %s, 1024 patches: %.1f ms\n", label, median_ms(executor, 5));
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
