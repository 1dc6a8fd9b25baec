#include "forge/bundle/context_worker.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/log.h"
#include "forge/bundle/numbered_operations.h"
#include "forge/bundle/proof.h"
#include "forge/bundle/record.h"
#include "forge/bundle/rounding.h"
#include "forge/ranges/record.h"
#include "qnn/backend.h"

namespace qhx::forge {
namespace {

using nlohmann::json;

struct Job {
  ContextJob context;
  ForgeOptions options;
  ScalePlan scales;
  std::filesystem::path file;
};

// All but paths, which are bytes and not text: they are arguments of their own.
std::string print_job(const ContextJob& job, const ForgeOptions& options, const ScalePlan& scales) {
  return json{{"kind", static_cast<int>(job.kind)},
              {"name", job.file},
              {"share_weights", job.share_weights},
              {"graph", job.graph},
              {"layers", job.layers},
              {"corner", options.target.htp.simulation ? options.target.htp.simulation->corner : 0},
              {"target", options.target.name},
              {"weights", name(options.weights)},
              {"budget", options.budget ? to_string(*options.budget) : ""},
              {"rounding", name(options.rounding)},
              {"keep_rounded", options.keep_rounded},
              {"image", to_string(options.image)},
              {"context_rows", options.context_rows},
              {"prefill_rows", options.prefill_rows},
              {"prefill", options.prefill},
              {"pictures", options.pictures},
              {"dlbc", options.target.htp.dlbc},
              {"prove", options.prove},
              {"scales", print_plan(scales)},
              {"threads", options.threads}}
      .dump();
}

// Throws json::exception for a job that is none: this program's other side has written it.
Result<Job> parse_job(const WorkerArguments& arguments) {
  const json from = json::parse(arguments.job);
  Job job;
  job.context.kind = static_cast<ContextKind>(from.at("kind").get<int>());
  job.context.file = from.at("name").get<std::string>();
  job.context.share_weights = from.at("share_weights").get<bool>();
  job.context.graph = from.at("graph").get<std::string>();
  job.context.layers = from.at("layers").get<std::uint32_t>();
  job.file = arguments.file;
  job.options.checkpoint = arguments.checkpoint;
  job.options.qnn_library = arguments.library;
  job.options.system_library = arguments.system_library;
  job.options.judge_library = arguments.judge_library;
  QHX_ASSIGN_OR_RETURN(job.options.target, parse_target(from.at("target").get<std::string>()));
  QHX_ASSIGN_OR_RETURN(job.options.weights,
                       parse_weight_format(from.at("weights").get<std::string>()));
  if (const auto budget = from.at("budget").get<std::string>(); !budget.empty()) {
    QHX_ASSIGN_OR_RETURN(job.options.budget, parse_budget(budget));
  }
  QHX_ASSIGN_OR_RETURN(job.options.rounding,
                       parse_rounding(from.at("rounding").get<std::string>()));
  job.options.keep_rounded = from.at("keep_rounded").get<bool>();
  QHX_ASSIGN_OR_RETURN(job.options.image, parse_image_size(from.at("image").get<std::string>()));
  job.options.context_rows = from.at("context_rows").get<std::vector<std::uint32_t>>();
  job.options.prefill_rows = from.at("prefill_rows").get<std::vector<std::uint32_t>>();
  job.options.prefill = from.at("prefill").get<bool>();
  job.options.pictures = from.at("pictures").get<bool>();
  job.options.target.htp.dlbc = from.at("dlbc").get<bool>();
  if (const int corner = from.at("corner").get<int>(); corner != 0)
    job.options.target.htp.simulation = {.folder = job.file.parent_path(), .corner = corner};
  job.options.prove = from.at("prove").get<bool>();
  job.scales = parse_plan(from.at("scales"));
  job.options.threads = from.at("threads").get<int>();
  return job;
}

void report(const WorkerReport& report) {
  const std::string line = print_report(report);
  // A line fits into a pipe whole; where nobody reads it any more, nothing is left to do.
  [[maybe_unused]] const ssize_t written = ::write(kWorkerReports, line.data(), line.size());
}

Result<std::shared_ptr<const qnn::Backend>> open_backend(const std::string& file,
                                                         std::uint32_t soc_model, int threads) {
  QHX_ASSIGN_OR_RETURN(auto library, qnn::BackendLibrary::open(file));
  return qnn::Backend::create(std::move(library),
                              {.soc_model = soc_model, .threads = threads, .kernel_target = {}});
}

// What the CPU library makes of the same graphs. They are gone when this returns: a model need not
// fit into memory twice.
Result<Trials> judge(const ContextJob& job, const GraphSource& source,
                     const hf::Checkpoint& checkpoint) {
  QHX_ASSIGN_OR_RETURN(const auto backend,
                       open_backend(source.options.judge_library, 0, source.options.threads));
  QHX_ASSIGN_OR_RETURN(const std::vector<qnn::Graph> graphs, build_graphs(job, source, backend));
  return run_trials(graphs, source.config, checkpoint);
}

// The graphs are in contexts of their own: a log tells the numbers of one graph.
Status simulate(const Job& job, const GraphSource& source,
                const std::shared_ptr<const qnn::Backend>& backend, const qnn::OperationIds& ids) {
  QHX_ASSIGN_OR_RETURN(const std::vector<qnn::Graph> graphs,
                       build_graphs(job.context, source, backend));
  const std::filesystem::path folder = job.options.target.htp.simulation->folder;
  for (const qnn::Graph& graph : graphs) {
    QHX_RETURN_IF_ERROR(
        write_operations(operations_file(folder, graph.name()), ids, graph.operations()));
  }
  return {};
}

Status do_job(const Job& job) {
  const ForgeOptions& options = job.options;
  QHX_ASSIGN_OR_RETURN(hf::ModelConfig whole, hf::load_config(options.checkpoint));
  const hf::ModelConfig config = config_of(job.context, std::move(whole));
  QHX_ASSIGN_OR_RETURN(const hf::Checkpoint checkpoint, hf::Checkpoint::open(options.checkpoint));
  QHX_ASSIGN_OR_RETURN(const WeightPlan plan, weight_plan(options, job.file.parent_path()));
  ThreadPool pool(options.threads);
  Trials trials;
  if (options.prove) {
    const WeightLoader weights(checkpoint, plan, options.target.activation, pool,
                               [](std::size_t) { return Status(); });
    QHX_ASSIGN_OR_RETURN(trials,
                         judge(job.context, {options, config, weights, job.scales}, checkpoint));
  }
  const WeightLoader weights(checkpoint, plan, options.target.activation, pool,
                             [](std::size_t elements) {
                               report({.amount = static_cast<double>(elements), .error = {}});
                               return Status();
                             });
  const GraphSource source{options, config, weights, job.scales};
  QHX_ASSIGN_OR_RETURN(const auto system, qnn::SystemLibrary::open(options.system_library));
  const auto ids = std::make_shared<qnn::OperationIds>();  // the library logs while it unloads
  // Before the backend is made: it then asks the library for as much as somebody wants to read.
  if (options.target.htp.simulation) {
    set_log_sink([ids](LogLevel, std::string_view line) { ids->read_log_line(line); },
                 LogLevel::kDebug);
  }
  QHX_ASSIGN_OR_RETURN(const auto backend, open_backend(options.qnn_library,
                                                        options.target.soc_model, options.threads));
  if (options.target.htp.simulation) return simulate(job, source, backend, *ids);
  QHX_ASSIGN_OR_RETURN(std::vector<qnn::Graph> graphs, build_graphs(job.context, source, backend));
  if (options.prove) {
    auto proofs = prove(graphs, trials);
    if (!proofs.ok()) return proofs.status().with_context(job.context.file);
    QHX_RETURN_IF_ERROR(write_proof_note(job.file, *proofs));
  }
  return write_context(job.context, source, std::move(graphs), *system, job.file);
}

Status run_job(const WorkerArguments& arguments) {
  try {
    QHX_ASSIGN_OR_RETURN(const Job job, parse_job(arguments));
    return do_job(job);
  } catch (const std::bad_alloc&) {
    return io_error("out of memory");
  } catch (const std::exception& error) {
    return internal_error(error.what());
  }
}

}  // namespace

Result<std::uint64_t> write_context_in_worker(const ContextJob& job, const ForgeOptions& options,
                                              const ScalePlan& scales,
                                              const std::filesystem::path& file,
                                              const WorkerLimits& limits,
                                              const OnAdvance& on_advance) {
  auto peak = run_worker({options.worker_program, kWorkerCommand, print_job(job, options, scales),
                          options.checkpoint.string(), options.qnn_library, options.system_library,
                          options.judge_library, file.string()},
                         limits, on_advance);
  if (!peak.ok()) return peak.status().with_context(job.file);
  return peak;
}

Result<std::uint64_t> simulate_in_worker(const ContextJob& job, const ForgeOptions& options,
                                         const ScalePlan& scales, const WorkerLimits& limits,
                                         const OnAdvance& on_advance) {
  QHX_CHECK(options.target.htp.simulation);
  return write_context_in_worker(
      job, options, scales, options.target.htp.simulation->folder / job.file, limits, on_advance);
}

int run_context_worker(const WorkerArguments& arguments) {
  const Status status = run_job(arguments);
  if (status.ok()) {
    report({.kind = WorkerReport::Kind::kDone, .peak_bytes = peak_resident_bytes(), .error = {}});
    return 0;
  }
  report({.kind = WorkerReport::Kind::kError, .error = status});
  return static_cast<int>(status.code());
}

}  // namespace qhx::forge
