#include "forge/bundle/context_worker.h"

#include <unistd.h>

#include <nlohmann/json.hpp>

#include "forge/bundle/record.h"
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
  return json{{"kind", static_cast<int>(job.kind)},   {"name", job.file},
              {"share_weights", job.share_weights},   {"target", options.target.name},
              {"weights", name(options.weights)},     {"image", to_string(options.image)},
              {"context_rows", options.context_rows}, {"prefill_rows", options.prefill_rows},
              {"prefill", options.prefill},           {"pictures", options.pictures},
              {"scales", print_plan(scales)},         {"threads", options.threads}}
      .dump();
}

// Throws json::exception for a job that is none: this program's other side has written it.
Result<Job> parse_job(const WorkerArguments& arguments) {
  const json from = json::parse(arguments.job);
  Job job;
  job.context.kind = static_cast<ContextKind>(from.at("kind").get<int>());
  job.context.file = from.at("name").get<std::string>();
  job.context.share_weights = from.at("share_weights").get<bool>();
  job.file = arguments.file;
  job.options.checkpoint = arguments.checkpoint;
  job.options.qnn_library = arguments.library;
  QHX_ASSIGN_OR_RETURN(job.options.target, parse_target(from.at("target").get<std::string>()));
  QHX_ASSIGN_OR_RETURN(job.options.weights,
                       parse_weight_format(from.at("weights").get<std::string>()));
  QHX_ASSIGN_OR_RETURN(job.options.image, parse_image_size(from.at("image").get<std::string>()));
  job.options.context_rows = from.at("context_rows").get<std::vector<std::uint32_t>>();
  job.options.prefill_rows = from.at("prefill_rows").get<std::vector<std::uint32_t>>();
  job.options.prefill = from.at("prefill").get<bool>();
  job.options.pictures = from.at("pictures").get<bool>();
  job.scales = parse_plan(from.at("scales"));
  job.options.threads = from.at("threads").get<int>();
  return job;
}

void report(const WorkerReport& report) {
  const std::string line = print_report(report);
  // A line fits into a pipe whole; where nobody reads it any more, nothing is left to do.
  [[maybe_unused]] const ssize_t written = ::write(kWorkerReports, line.data(), line.size());
}

Status do_job(const Job& job) {
  const ForgeOptions& options = job.options;
  QHX_ASSIGN_OR_RETURN(const hf::ModelConfig config, hf::load_config(options.checkpoint));
  QHX_ASSIGN_OR_RETURN(const hf::Checkpoint checkpoint, hf::Checkpoint::open(options.checkpoint));
  QHX_ASSIGN_OR_RETURN(auto library, qnn::BackendLibrary::open(options.qnn_library));
  QHX_ASSIGN_OR_RETURN(
      const auto backend,
      qnn::Backend::create(std::move(library), {.soc_model = options.target.soc_model,
                                                .threads = options.threads,
                                                .kernel_target = {}}));
  ThreadPool pool(options.threads);
  const WeightLoader weights(checkpoint, options.weights, options.target.activation, pool,
                             [](std::size_t elements) {
                               report({.amount = static_cast<double>(elements), .error = {}});
                               return Status();
                             });
  return write_context(job.context, options, config, weights, job.scales, backend, job.file);
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
                          options.checkpoint.string(), options.qnn_library, file.string()},
                         limits, on_advance);
  if (!peak.ok()) return peak.status().with_context(job.file);
  return peak;
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
