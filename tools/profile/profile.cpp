#include "profile/profile.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "base/file.h"
#include "forge/bundle/context_worker.h"
#include "forge/bundle/costs.h"
#include "forge/bundle/numbered_operations.h"
#include "forge/bundle/text_graphs.h"
#include "forge/hf/config.h"
#include "profile/drawn_weights.h"
#include "profile/scratch_folder.h"
#include "profile/summary.h"
#include "qnn/library.h"

namespace qhx::profile {
namespace {

namespace fs = std::filesystem;

// A graph to simulate.
struct Task {
  Stage stage;
  forge::ContextJob job;
  std::string graph;  // its name
  std::uint32_t rows = 0, context_rows = 0;
};

bool wants(const Options& options, Stage stage) {
  return std::find(options.stages.begin(), options.stages.end(), stage) != options.stages.end();
}

forge::ContextJob job_of(forge::ContextKind kind, const std::string& graph, std::uint32_t layers) {
  return {.kind = kind,
          .stage = "",
          .file = graph,
          .share_weights = false,
          .graph = kind == forge::ContextKind::kText ? graph : "",
          .layers = layers};
}

std::vector<Task> tasks(const Options& options, const forge::ForgeOptions& forge) {
  std::vector<Task> list;
  const auto add = [&](Stage stage, forge::ContextKind kind, const std::string& graph) -> Task& {
    list.push_back({.stage = stage, .job = job_of(kind, graph, options.layers), .graph = graph});
    return list.back();
  };
  if (forge.pictures && wants(options, Stage::kVision))
    add(Stage::kVision, forge::ContextKind::kVision, "vision");
  for (const forge::TextGraphSpec& graph : forge::text_graphs(forge, false)) {
    const Stage stage = graph.rows == 1 ? Stage::kDecode : Stage::kPrefill;
    if (!wants(options, stage)) continue;
    Task& task = add(stage, forge::ContextKind::kText, graph.name);
    task.rows = graph.rows;
    task.context_rows = graph.context_rows;
  }
  if (wants(options, Stage::kHead)) add(Stage::kHead, forge::ContextKind::kHead, "lmhead");
  return list;
}

class Profiler {
 public:
  Profiler(const Options& options, fs::path folder)
      : options_(options), folder_(std::move(folder)) {}

  Result<Report> run() {
    QHX_ASSIGN_OR_RETURN(config_, hf::load_config(options_.forge.checkpoint));
    QHX_ASSIGN_OR_RETURN(library_, qnn::BackendLibrary::open(options_.forge.qnn_library));
    QHX_RETURN_IF_ERROR(open_checkpoint());
    report_.model = forge::model_name(config_);
    report_.weights = forge::weights_name(options_.forge);
    report_.drawn_weights = options_.draw_weights;
    if (options_.forge.pictures) {
      report_.image = to_string(options_.forge.image);
      report_.image_tokens = forge::patch_grid(options_.forge, config_).patches() /
                             static_cast<std::uint32_t>(config_.vision.merge_unit());
    }
    std::vector<std::pair<forge::ForgeOptions, Task>> all;
    for (const std::string& target : options_.targets) {
      QHX_ASSIGN_OR_RETURN(const forge::ForgeOptions forge, options_for(target));
      for (Task& task : tasks(options_, forge)) all.emplace_back(forge, std::move(task));
    }
    if (all.empty()) return invalid_argument("--stage: the preset has no such graph");
    for (const auto& [forge, task] : all) {
      const std::string what = forge.target.name + " " + task.graph;
      const auto wait = [&,
                         done = report_.graphs.size() + report_.failures.size()](double) -> Status {
        return options_.progress ? options_.progress(done, all.size(), what) : Status();
      };
      QHX_RETURN_IF_ERROR(wait(0));
      auto graph = simulate(forge, task, wait);
      if (graph.status().code() == StatusCode::kCancelled) return graph.status();
      if (graph.ok()) {
        report_.graphs.push_back(*std::move(graph));
      } else {
        report_.failures.push_back(
            {forge.target.name, task.graph, graph.status().with_context(what)});
      }
    }
    report_.derived = derive(report_);
    return std::move(report_);
  }

 private:
  Status open_checkpoint() {
    checkpoint_ = options_.forge.checkpoint;
    if (options_.draw_weights) {
      checkpoint_ = folder_ / "drawn";
      QHX_RETURN_IF_ERROR(draw_weights(options_.forge.checkpoint, options_.layers, checkpoint_,
                                       options_.forge.threads));
    }
    const hf::ModelConfig used =
        options_.layers == 0 ? config_ : hf::first_layers(config_, options_.layers);
    QHX_ASSIGN_OR_RETURN(const hf::Checkpoint checkpoint, hf::Checkpoint::open(checkpoint_));
    return hf::validate_tensors(used, checkpoint);
  }

  Result<forge::ForgeOptions> options_for(const std::string& target) const {
    forge::ForgeOptions forge = options_.forge;
    const bool dlbc = forge.target.htp.dlbc;
    QHX_ASSIGN_OR_RETURN(forge.target, forge::parse_target(target));
    if (!forge.target.device()) {
      return invalid_argument("--soc " + target +
                              ": there is no simulator for it; expected v73, v75, v79 or v81");
    }
    forge.target.htp.dlbc = dlbc;
    QHX_RETURN_IF_ERROR(validate(forge, config_));
    forge.checkpoint = checkpoint_;
    return forge;
  }

  // Times do not depend on values: nothing is measured, and all that may be integers is.
  forge::ScalePlan scales_for(const forge::ForgeOptions& forge) const {
    forge::ScalePlan scales;
    if (!forge.integers) return scales;
    scales.integers = {.vision_mlp = {config_.vision.depth, {8, 8, 8, 8}},
                       .text_o = {config_.text.n_layers, {8, 8}},
                       .text_mlp = {config_.text.n_layers, {8, 8, 8, 8, 8}}};
    return scales;
  }

  Result<GraphProfile> simulate(forge::ForgeOptions forge, const Task& task,
                                const forge::OnAdvance& wait) const {
    const fs::path folder =
        (options_.traces.empty() ? folder_ : options_.traces) / forge.target.name;
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) return io_error(folder.string() + ": " + error.message());
    forge.target.htp.simulation = qnn::HtpSimulation{.folder = folder, .corner = options_.corner};
    const fs::path trace = forge.target.htp.simulation->trace_file(task.graph);
    fs::remove(trace, error);
    const forge::WorkerLimits limits{
        .memory_bytes = forge.memory_limit,
        .silence = forge.finalize_timeout != 0 ? std::chrono::seconds(forge.finalize_timeout)
                                               : forge::Costs(forge, config_).patience(task.job)};
    GraphProfile profile;
    const auto start = std::chrono::steady_clock::now();
    QHX_ASSIGN_OR_RETURN(
        profile.peak_resident_bytes,
        forge::simulate_in_worker(task.job, forge, scales_for(forge), limits, wait));
    profile.finalize_seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    QHX_RETURN_IF_ERROR(read_trace(trace, task, profile)
                            .with_context(forge.qnn_library + " (" + library_->build_id() + ")"));
    describe(forge, task, profile);
    if (options_.traces.empty()) fs::remove(trace, error);
    return profile;
  }

  static Status read_trace(const fs::path& trace, const Task& task, GraphProfile& profile) {
    QHX_ASSIGN_OR_RETURN(
        const forge::NumberedOperations operations,
        forge::read_operations(forge::operations_file(trace.parent_path(), task.graph)));
    Summary summary(operations);
    QHX_ASSIGN_OR_RETURN(
        qnn::SimulatedFacts facts,
        qnn::read_simulated_trace(trace, [&](const auto& event) { summary.add(event); }));
    summary.finish(std::move(facts), profile);
    return {};
  }

  void describe(const forge::ForgeOptions& forge, const Task& task, GraphProfile& profile) const {
    profile.graph = task.graph;
    profile.stage = task.stage;
    profile.rows = task.rows;
    profile.context_rows = task.context_rows;
    profile.target = forge.target.name;
    profile.corner = options_.corner;
    if (task.stage == Stage::kHead) return;
    profile.of_layers = static_cast<std::uint32_t>(
        task.stage == Stage::kVision ? config_.vision.depth : config_.text.n_layers);
    profile.layers =
        options_.layers == 0 ? profile.of_layers : std::min(options_.layers, profile.of_layers);
  }

  const Options& options_;
  fs::path folder_, checkpoint_;
  std::shared_ptr<const qnn::BackendLibrary> library_;
  hf::ModelConfig config_;
  Report report_;
};

}  // namespace

Result<Report> profile(const Options& options) {
  QHX_ASSIGN_OR_RETURN(const ScratchFolder scratch, ScratchFolder::create());
  return Profiler(options, scratch.path()).run();
}

}  // namespace qhx::profile
