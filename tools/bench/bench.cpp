#include "bench/bench.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <span>

#include "base/thread_pool.h"
#include "bench/machine.h"
#include "bench/page_cache.h"
#include "bench/subject.h"
#include "bench/text_bench.h"
#include "bench/turn_bench.h"
#include "engine/stopwatch.h"
#include "meter.h"

namespace qhx::bench {
namespace {

namespace fs = std::filesystem;
using engine::Engine;
using engine::Stopwatch;

using Advance = std::function<void(double work, std::string_view next)>;

// ---- What is measured ----

struct Plan {
  std::vector<std::size_t> prefill, fills;
};

std::string fit_error(const char* option, std::size_t length, std::size_t more,
                      std::size_t context) {
  return std::string(option) + " " + std::to_string(length) + ": with " + std::to_string(more) +
         " more tokens it does not fit into the context of " + std::to_string(context);
}

Result<std::vector<std::size_t>> choose(const char* option, const std::vector<std::size_t>& asked,
                                        std::span<const std::size_t> defaults, std::size_t more,
                                        std::size_t context) {
  std::vector<std::size_t> chosen = asked;
  for (const std::size_t length : asked) {
    if (length + more > context) return invalid_argument(fit_error(option, length, more, context));
  }
  for (const std::size_t length : defaults) {
    if (asked.empty() && length + more <= context) chosen.push_back(length);
  }
  std::sort(chosen.begin(), chosen.end());
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  return chosen;
}

Result<Plan> make_plan(const Options& options, const runtime::TextSpec& spec) {
  Plan plan;
  QHX_ASSIGN_OR_RETURN(plan.prefill,
                       choose("--prefill", options.prefill, kPrefill, 1, spec.context));
  QHX_ASSIGN_OR_RETURN(plan.fills,
                       choose("--fill", options.fills, kFills, options.steps, spec.context));
  return plan;
}

// Work is counted in prompt tokens, or what takes about as long on a CPU.
constexpr double kStepWork = 6, kLoadWork = 30;

double total_work(const Options& options, const Engine& engine, const Plan& plan) {
  const auto runs = static_cast<double>(options.warm_up + options.repetitions);
  const auto steps = static_cast<double>(options.steps);
  double work = kLoadWork * (2 + static_cast<double>(options.repetitions));
  for (const std::size_t length : plan.prefill) work += runs * static_cast<double>(length);
  if (!plan.fills.empty()) work += static_cast<double>(plan.fills.back());
  work += static_cast<double>(plan.fills.size()) * runs * steps * kStepWork;
  const double turn = turn_work(engine);
  work += turn * (1 + static_cast<double>(options.repetitions));
  return options.shares ? work + turn + steps * kStepWork : work;
}

// ---- Loading ----

Result<std::shared_ptr<Engine>> load(const Subject& subject, Load& into) {
  const Stopwatch watch;
  QHX_ASSIGN_OR_RETURN(std::shared_ptr<Engine> engine, Engine::load(subject.options));
  into.load.add(watch.ms());
  // Weights are read, and their checksums compared, when they are first used.
  QHX_ASSIGN_OR_RETURN(const auto text, TextBench::create(engine));
  QHX_RETURN_IF_ERROR(text->prefill(1).status());
  into.first_token.add(watch.ms());
  return engine;
}

Result<Load> measure_warm_loads(const Subject& subject, std::size_t repetitions,
                                const Advance& advance) {
  Load warm;
  QHX_RETURN_IF_ERROR(read_into_cache(subject.files));
  QHX_ASSIGN_OR_RETURN(warm.cached_bytes, cached_bytes(subject.files));
  const OtherLoad others;
  for (std::size_t i = 0; i < repetitions; ++i) {
    advance(i == 0 ? 0 : kLoadWork, "warm load");
    QHX_RETURN_IF_ERROR(load(subject, warm).status());
  }
  warm.others = others.cores();
  advance(kLoadWork, "");
  return warm;
}

// ---- Text ----

template <class Measure>
Status repeat(const Options& options, double work, const std::string& stage, const Advance& advance,
              TextRate& rate, Measure measure) {
  std::optional<OtherLoad> others;
  for (std::size_t i = 0; i < options.warm_up + options.repetitions; ++i) {
    advance(i == 0 ? 0 : work, stage);
    if (i == options.warm_up) others.emplace();
    QHX_ASSIGN_OR_RETURN(const double ms, measure());
    if (i >= options.warm_up) rate.ms.add(ms);
  }
  advance(work, "");
  rate.others = others->cores();
  return {};
}

Status measure_text(const Options& options, const Plan& plan, std::shared_ptr<Engine> engine,
                    const Advance& advance, Report& report) {
  QHX_ASSIGN_OR_RETURN(const auto text, TextBench::create(std::move(engine)));
  for (const std::size_t tokens : plan.prefill) {
    TextRate& rate = report.prefill.emplace_back(TextRate{tokens, {}, 0});
    QHX_RETURN_IF_ERROR(repeat(options, static_cast<double>(tokens),
                               "prefill of " + std::to_string(tokens), advance, rate,
                               [&] { return text->prefill(tokens); }));
  }
  std::size_t filled = 0;
  for (const std::size_t fill : plan.fills) {
    QHX_RETURN_IF_ERROR(text->fill(fill));
    advance(static_cast<double>(fill - filled), "");
    filled = fill;
    TextRate& rate = report.decode.emplace_back(TextRate{fill, {}, 0});
    QHX_RETURN_IF_ERROR(repeat(options, static_cast<double>(options.steps) * kStepWork,
                               "decode after " + std::to_string(fill), advance, rate,
                               [&] { return text->decode(options.steps); }));
  }
  return {};
}

// ---- Where the time goes ----

void add_stages(const RoleTimes& times, double total_ms, Report& report) {
  double host = total_ms;
  for (std::size_t i = 0; i < kRoles.size(); ++i) {
    const RoleTime& time = times.roles[i];
    if (time.runs == 0) continue;
    report.stages.push_back(
        {std::string(runtime::name(kRoles[i])), time.runs, time.ms, time.ms / total_ms});
    host -= time.ms;
  }
  host = std::max(0.0, host);
  report.stages.push_back({"host", 1, host, host / total_ms});
}

void add_ops(const runtime::QnnGraphs& graphs, Report& report) {
  const qnn::NodeTimes* times = graphs.node_times();
  if (times == nullptr) return;
  for (const runtime::Role role : kRoles) {
    std::map<std::string, qnn::NodeTimes::Sum> kinds;
    double total = 0;
    for (const qnn::GraphInfo* graph : graphs.infos(role)) {
      const auto found = times->sums().find(graph->name);
      if (found == times->sums().end()) continue;
      for (const auto& [kind, sum] : found->second) {
        kinds[kind].nodes += sum.nodes;
        kinds[kind].time += sum.time;
        total += static_cast<double>(sum.time);
      }
    }
    const std::size_t first = report.ops.size();
    for (const auto& [kind, sum] : kinds) {
      report.ops.push_back({std::string(runtime::name(role)), kind, sum.nodes,
                            total > 0 ? static_cast<double>(sum.time) / total : 0});
    }
    std::sort(report.ops.begin() + static_cast<std::ptrdiff_t>(first), report.ops.end(),
              [](const OpShare& a, const OpShare& b) { return a.share > b.share; });
  }
}

Status measure_shares(const Options& options, const Subject& subject, const Question& question,
                      const Advance& advance, Report& report) {
  advance(0, "shares");
  QHX_ASSIGN_OR_RETURN(const ObservedEngine observed, load_observed(subject));
  QHX_ASSIGN_OR_RETURN(auto session, engine::Session::create(observed.engine));
  // Weights are checked and the vision graph is loaded in a turn before.
  for (const std::size_t tokens : {std::size_t{1}, options.steps + 1}) {
    *observed.times = {};
    if (auto* times = observed.graphs->node_times(); times != nullptr) times->reset();
    session->reset();
    const Stopwatch watch;
    QHX_RETURN_IF_ERROR(ask(*session, question, tokens).status());
    if (tokens == 1) continue;
    add_stages(*observed.times, watch.ms(), report);
    add_ops(*observed.graphs, report);
  }
  return {};
}

// ---- All of it ----

Report describe(const Subject& subject, const Engine& engine, const Options& options) {
  Report report;
  report.cpu = cpu_model();
  report.usable_cpus = usable_cpus();
  report.threads = options.threads == 0 ? report.usable_cpus : options.threads;
  report.library = fs::path(subject.libraries.backend).filename().string();
  report.provider = subject.library->provider();
  report.build_id = subject.library->build_id();
  report.emulation = subject.library->emulates_device();
  report.manifest = subject.bundle.manifest_path.filename().string();
  report.model = subject.bundle.manifest.model.name;
  std::error_code error;
  for (const fs::path& file : subject.files) report.bundle_bytes += fs::file_size(file, error);
  report.context = engine.text_spec().context;
  report.steps = options.steps;
  report.notes = engine.notes();
  return report;
}

}  // namespace

Result<Report> bench(const Options& options) {
  QHX_ASSIGN_OR_RETURN(const Subject subject, open_subject(options));
  std::shared_ptr<const std::string> target;
  if (subject.library->is_qhx_cpu()) target = watch_kernel_target();
  // What is refused is refused here, and how long all will take follows from the graphs.
  Load cold;
  cold.cold = options.cold;
  if (options.cold) QHX_RETURN_IF_ERROR(drop_from_cache(subject.files));
  QHX_ASSIGN_OR_RETURN(cold.cached_bytes, cached_bytes(subject.files));
  const OtherLoad others;
  QHX_ASSIGN_OR_RETURN(std::shared_ptr<Engine> engine, load(subject, cold));
  cold.others = others.cores();
  QHX_ASSIGN_OR_RETURN(const Plan plan, make_plan(options, engine->text_spec()));
  QHX_ASSIGN_OR_RETURN(const Question question, make_question(options.image, *engine));
  Report report = describe(subject, *engine, options);
  if (options.cold) report.loads.push_back(std::move(cold));

  Advance advance = [](double, std::string_view) {};
  if (options.progress) {
    advance = [meter = std::make_shared<tools::Meter>(total_work(options, *engine, plan)),
               stage = std::string()](double done, std::string_view next) mutable {
      if (!next.empty()) stage = next;  // else the work of one that goes on
      (*meter)(done, stage);
    };
  }
  advance(kLoadWork, "warm load");
  engine = nullptr;
  QHX_ASSIGN_OR_RETURN(Load warm, measure_warm_loads(subject, options.repetitions, advance));
  report.loads.push_back(std::move(warm));
  QHX_ASSIGN_OR_RETURN(engine, Engine::load(subject.options));
  report.loaded_rss = resident_bytes();
  QHX_ASSIGN_OR_RETURN(report.turn, measure_turn(question, options.repetitions, engine, advance));
  QHX_RETURN_IF_ERROR(measure_text(options, plan, engine, advance, report));
  report.peak_rss = peak_resident_bytes();
  engine = nullptr;
  if (options.shares && report.turn.has_value())
    QHX_RETURN_IF_ERROR(measure_shares(options, subject, question, advance, report));
  if (target != nullptr) report.kernel_target = *target;
  return report;
}

}  // namespace qhx::bench
