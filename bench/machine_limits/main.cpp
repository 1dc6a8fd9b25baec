// machine_limits: what this machine can do at most, the roofs that kernels are measured against.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>

#include "base/thread_pool.h"
#include "base/utc.h"
#include "bench/machine.h"
#include "machine_limits/limits.h"

namespace qhx::bench {
namespace {

using nlohmann::ordered_json;

struct Options {
  double gib = 1;
  std::size_t repetitions = 7;
  double seconds = 0.1;
  bool json = false;
};

struct Row {
  std::string name, how, unit;
  int threads = 1;
  Samples values;
  double others = 0;
};

void print(const Row& row) {
  if (row.values.empty()) {
    std::printf("%-24s %2d threads  cannot be had\n", row.name.c_str(), row.threads);
    return;
  }
  std::printf("%-24s %2d threads  best %8.1f  median %8.1f  worst %8.1f %-7s  others %.2f  %s\n",
              row.name.c_str(), row.threads, row.values.max() / 1e9, row.values.median() / 1e9,
              row.values.min() / 1e9, row.unit.c_str(), row.others, row.how.c_str());
  std::fflush(stdout);
}

ordered_json to_json(const Row& row) {
  ordered_json out = {
      {"name", row.name}, {"how", row.how}, {"unit", row.unit}, {"threads", row.threads}};
  for (const auto& [key, value] :
       {std::pair{"best", row.values.empty() ? 0 : row.values.max()},
        std::pair{"median", row.values.empty() ? 0 : row.values.median()},
        std::pair{"worst", row.values.empty() ? 0 : row.values.min()}})
    out[key] = row.values.empty() ? ordered_json(nullptr) : ordered_json(value / 1e9);
  out["others"] = row.others;
  return out;
}

template <class Measure>
Row measure(Row row, Measure run) {
  const OtherLoad others;
  row.values = run();
  row.others = others.cores();
  return row;
}

std::vector<Row> measure_all(const Options& options, int cpus) {
  std::vector<Row> rows;
  const auto add = [&](Row row, auto run) {
    rows.push_back(measure(std::move(row), run));
    if (!options.json) print(rows.back());
  };
  const auto bytes = static_cast<std::size_t>(options.gib * (1 << 30)) / 8192 * 8192;
  for (const int threads : std::set<int>{1, cpus}) {
    for (const auto& [pages, name] : {std::pair{Pages::kHuge, "memory read, 2 MiB pages"},
                                      std::pair{Pages::kSmall, "memory read, 4 KiB pages"}}) {
      add({name, "", "GB/s", threads, {}, 0},
          [&, pages = pages] { return measure_read(bytes, pages, threads, options.repetitions); });
    }
    for (const Peak& peak : all_peaks()) {
      if (!peak.supported()) continue;
      const bool whole = std::string_view(peak.what).starts_with("int");
      add({std::string(peak.what) + ", " + peak.isa,
           peak.how,
           whole ? "GOP/s" : "GFLOP/s",
           threads,
           {},
           0},
          [&] { return measure_peak(peak, threads, options.repetitions, options.seconds); });
    }
  }
  return rows;
}

int run(const Options& options) {
  const int cpus = usable_cpus();
  if (!options.json) std::printf("%s, %d usable CPUs\n", cpu_model().c_str(), cpus);
  const std::vector<Row> rows = measure_all(options, cpus);
  if (!options.json) return 0;
  ordered_json list = ordered_json::array();
  for (const Row& row : rows) list.push_back(to_json(row));
  const ordered_json document = {{"made", utc_now()},
                                 {"machine", {{"cpu", cpu_model()}, {"usable_cpus", cpus}}},
                                 {"limits", list}};
  std::printf("%s\n", document.dump(2).c_str());
  return 0;
}

}  // namespace
}  // namespace qhx::bench

int main(int argc, char** argv) {
  qhx::bench::Options options;
  CLI::App program(
      "Measures what this machine can do at most: memory read bandwidth, and multiplications and "
      "additions of each number type on each instruction set it has, on one CPU and on all.");
  program.footer(
      "An operation is a multiplication or an addition. \"others\" is the CPU that other processes "
      "used\nmeanwhile, in cores; where it is not about 0, take the best value.");
  program
      .add_option("--gib", options.gib, "Memory to read, in GiB; more than the caches (default: 1)")
      ->check(CLI::Range(0.01, 1024.0));
  program.add_option("--repetitions", options.repetitions, "Measurements of each (default: 7)")
      ->check(CLI::Range(1, 1000));
  program.add_option("--seconds", options.seconds, "Of each measurement of a peak (default: 0.1)")
      ->check(CLI::Range(0.001, 60.0));
  program.add_flag("--json", options.json, "Print JSON");
  CLI11_PARSE(program, argc, argv);
  return qhx::bench::run(options);
}
