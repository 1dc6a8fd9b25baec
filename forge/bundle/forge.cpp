#include "forge/bundle/forge.h"

#include <algorithm>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "forge/bundle/check.h"
#include "forge/bundle/context_worker.h"
#include "forge/bundle/contexts.h"
#include "forge/bundle/costs.h"
#include "forge/bundle/manifests.h"
#include "forge/bundle/output_folder.h"
#include "forge/bundle/proof.h"
#include "forge/bundle/quality.h"
#include "forge/bundle/record.h"
#include "forge/bundle/rounding.h"
#include "forge/bundle/scales.h"
#include "forge/bundle/special_tokens.h"
#include "forge/bundle/tables.h"
#include "forge/hf/config.h"
#include "qnn/backend.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> input_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool config = name == "config.json" || name == "generation_config.json" ||
                        name == "preprocessor_config.json" || name == "tokenizer.json" ||
                        name == "model.safetensors.index.json";
    if (config || entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  return files;
}

std::uint64_t total_bytes(const std::vector<fs::path>& files) {
  std::uint64_t bytes = 0;
  for (const fs::path& file : files) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (!error) bytes += size;
  }
  return bytes;
}

// One run. Members are set up by open() in the order in which errors are best found.
class Forge {
 public:
  Forge(const ForgeOptions& options, Work::Report report, const std::atomic<bool>* stop)
      : options_(options), work_(std::move(report), stop), pool_(options.threads) {}

  Result<ForgeReport> run() {
    QHX_RETURN_IF_ERROR(open());
    QHX_RETURN_IF_ERROR(check_disk_space());
    plan_work();
    QHX_ASSIGN_OR_RETURN(OutputFolder folder, open_output());
    QHX_RETURN_IF_ERROR(choose_scales(folder.path()));
    QHX_RETURN_IF_ERROR(round_weights(folder.path()));
    QHX_RETURN_IF_ERROR(try_weights(folder.path()));
    QHX_RETURN_IF_ERROR(write_tables(folder.path()));
    QHX_RETURN_IF_ERROR(write_graphs(folder.path()));
    QHX_RETURN_IF_ERROR(write_checksums(folder.path()));
    QHX_RETURN_IF_ERROR(write_manifests(folder.path()));
    ForgeReport report = describe(folder.path());
    QHX_RETURN_IF_ERROR(folder.commit());
    return report;
  }

 private:
  Status open() {
    QHX_RETURN_IF_ERROR(check_output(options_.output, options_.force));
    QHX_ASSIGN_OR_RETURN(config_, hf::load_config(options_.checkpoint));
    QHX_RETURN_IF_ERROR(validate(options_, config_));
    facts_.model = options_.name.empty() ? model_name(config_) : options_.name;
    names_.emplace(facts_.model, options_);
    jobs_ = context_jobs(options_, *names_);
    QHX_RETURN_IF_ERROR(read_tokenizer());
    QHX_RETURN_IF_ERROR(read_calibration());
    QHX_ASSIGN_OR_RETURN(hf::Checkpoint checkpoint, hf::Checkpoint::open(options_.checkpoint));
    checkpoint_.emplace(std::move(checkpoint));
    QHX_RETURN_IF_ERROR(hf::validate_tensors(config_, *checkpoint_));
    costs_.emplace(options_, config_);
    QHX_ASSIGN_OR_RETURN(library_, qnn::BackendLibrary::open(options_.qnn_library));
    QHX_ASSIGN_OR_RETURN(system_, qnn::SystemLibrary::open(options_.system_library));
    facts_.qnn_build = library_->build_id();
    return {};
  }

  Status read_calibration() {
    const auto make = [&](CalibrationUse use) {
      return calibration_set(use, options_, config_, tokenizer_, facts_.chat);
    };
    if (measures_activations(options_) && options_.measure) {
      QHX_ASSIGN_OR_RETURN(calibration_, make(CalibrationUse::kRanges));
    }
    if (rounds_weights(options_)) {
      QHX_ASSIGN_OR_RETURN(rounding_set_, make(CalibrationUse::kRounding));
    }
    if (tries_weights(options_)) {
      QHX_ASSIGN_OR_RETURN(trial_set_, make(CalibrationUse::kTrial));
    }
    return {};
  }

  Status read_tokenizer() {
    QHX_ASSIGN_OR_RETURN(tokenizer_, read_file(options_.checkpoint / "tokenizer.json"));
    QHX_ASSIGN_OR_RETURN(const AddedTokens tokens, AddedTokens::parse(tokenizer_));
    if (tokens.max_id() >= static_cast<std::int64_t>(config_.text.vocab_size)) {
      return corrupt("tokenizer.json: has a token with id " + std::to_string(tokens.max_id()) +
                     ", but config.json: text_config.vocab_size is " +
                     std::to_string(config_.text.vocab_size));
    }
    QHX_ASSIGN_OR_RETURN(facts_.chat, make_chat(tokens, config_));
    QHX_ASSIGN_OR_RETURN(facts_.stop_ids, stop_ids(tokens, config_));
    return {};
  }

  // Work for a device takes minutes to hours, so what is finished is kept for the next run.
  Result<OutputFolder> open_output() const {
    if (!options_.target.device()) return OutputFolder::create(options_.output, options_.force);
    return OutputFolder::resume(options_.output, options_.force,
                                work_key(options_, *library_, facts_.model, inputs_));
  }

  Status check_disk_space() const {
    // Graphs with some room for scales and alignment, the f16 table, and the rest.
    const double needed =
        costs_->stored_bytes(jobs_) * 1.1 + costs_->table_weights() * 2 + 64.0 * (1 << 20);
    fs::path place = fs::absolute(options_.output).lexically_normal();
    std::error_code error;
    while (!fs::exists(place, error) && place.has_relative_path()) place = place.parent_path();
    const fs::space_info space = fs::space(place, error);
    if (error || static_cast<double>(space.available) >= needed) return {};
    return io_error(place.string() + ": the bundle needs about " +
                    std::to_string(static_cast<std::uint64_t>(needed / 1e6)) + " MB, but only " +
                    std::to_string(space.available / 1000000) + " MB are free");
  }

  void plan_work() {
    inputs_ = input_files(options_.checkpoint);
    if (measures_activations(options_))
      work_.plan("activation ranges", costs_->measuring(calibration_));
    if (rounds_weights(options_)) work_.plan("rounding weights", costs_->rounding(rounding_set_));
    if (tries_weights(options_)) work_.plan("quality", costs_->quality(trial_set_));
    work_.plan("tables", costs_->table());
    for (const ContextJob& job : jobs_)
      work_.plan(job.stage, costs_->weights(job) + costs_->finishing(job));
    const double bytes = static_cast<double>(total_bytes(inputs_)) + costs_->table_weights() * 2 +
                         costs_->stored_bytes(jobs_);
    work_.plan("checksums", Costs::checksum(bytes));
  }

  // Progress of a step that costs so much, told as the fraction that is done.
  std::function<Status(double)> part_of(double cost) {
    return [this, cost, told = 0.0](double fraction) mutable {
      return work_.advance((fraction - std::exchange(told, fraction)) * cost);
    };
  }

  Status choose_scales(const fs::path& folder) {
    if (!measures_activations(options_)) return {};
    QHX_RETURN_IF_ERROR(work_.begin_next());
    QHX_ASSIGN_OR_RETURN(scales_, find_scales(options_, config_, *checkpoint_, calibration_, folder,
                                              pool_, part_of(costs_->measuring(calibration_))));
    record_.activations = scales_.record;
    return {};
  }

  Status round_weights(const fs::path& folder) {
    if (rounds_weights(options_)) {
      QHX_RETURN_IF_ERROR(work_.begin_next());
      QHX_ASSIGN_OR_RETURN(
          record_.rounding,
          forge::round_weights(options_, config_, *checkpoint_, rounding_set_, folder, pool_,
                               part_of(costs_->rounding(rounding_set_))));
    }
    QHX_ASSIGN_OR_RETURN(plan_, weight_plan(options_, folder));
    return {};
  }

  Status try_weights(const fs::path& folder) {
    if (!tries_weights(options_)) return {};
    QHX_RETURN_IF_ERROR(work_.begin_next());
    QHX_ASSIGN_OR_RETURN(quality_, write_quality(plan_, config_, *checkpoint_, trial_set_, folder,
                                                 pool_, part_of(costs_->quality(trial_set_))));
    return {};
  }

  Status write_tables(const fs::path& folder) {
    QHX_RETURN_IF_ERROR(work_.begin_next());
    QHX_ASSIGN_OR_RETURN(
        facts_.files[names_->embed],
        write_f16_table(*checkpoint_, kEmbedTensor, folder / names_->embed, [&](std::size_t n) {
          return work_.advance(costs_->table() * static_cast<double>(n) / costs_->table_weights());
        }));
    QHX_RETURN_IF_ERROR(write_file(folder / names_->tokenizer, tokenizer_));
    if (!options_.pictures) return {};
    const std::string patch = "model.visual.patch_embed.proj";
    QHX_RETURN_IF_ERROR(
        write_f32_table(*checkpoint_, patch + ".weight", folder / names_->patch_embed));
    QHX_RETURN_IF_ERROR(
        write_f32_table(*checkpoint_, patch + ".bias", folder / names_->patch_embed_bias));
    return write_f32_table(*checkpoint_, "model.visual.pos_embed.weight",
                           folder / names_->pos_embed);
  }

  Status write_graphs(const fs::path& folder) {
    for (const ContextJob& job : jobs_) {
      QHX_RETURN_IF_ERROR(work_.begin_next());
      const fs::path file = folder / job.file;
      if (fs::exists(file)) continue;  // of the run that this one takes up again
      QHX_RETURN_IF_ERROR(options_.target.device() ? write_in_worker(job, file)
                                                   : write_here(job, file));
    }
    return {};
  }

  Status write_here(const ContextJob& job, const fs::path& file) {
    if (backend_ == nullptr) {
      QHX_ASSIGN_OR_RETURN(backend_, qnn::Backend::create(library_, {.soc_model = 0,
                                                                     .threads = options_.threads,
                                                                     .kernel_target = {}}));
    }
    const WeightLoader weights(
        *checkpoint_, plan_, options_.target.activation, pool_,
        [this](std::size_t elements) { return work_.advance(static_cast<double>(elements)); });
    const GraphSource source{options_, config_, weights, scales_.plan};
    QHX_ASSIGN_OR_RETURN(std::vector<qnn::Graph> graphs, build_graphs(job, source, backend_));
    return write_context(job, source, std::move(graphs), *system_, file);
  }

  // While the library finalizes it says nothing: progress follows the clock, up to nearly the end.
  Status write_in_worker(const ContextJob& job, const fs::path& file) {
    const double weights = costs_->weights(job), finish = costs_->finishing(job);
    const WorkerLimits limits{.memory_bytes = options_.memory_limit,
                              .silence = options_.finalize_timeout != 0
                                             ? std::chrono::seconds(options_.finalize_timeout)
                                             : costs_->patience(job)};
    double loaded = 0, shown = 0;
    auto last = std::chrono::steady_clock::now();
    QHX_ASSIGN_OR_RETURN(
        const std::uint64_t peak,
        write_context_in_worker(job, options_, scales_.plan, file, limits, [&](double amount) {
          const auto now = std::chrono::steady_clock::now();
          const std::chrono::duration<double> passed = now - std::exchange(last, now);
          loaded += amount;
          if (loaded < weights) return work_.advance(amount);
          const double step = std::min(Costs::of(passed), (finish * 0.95 - shown) * 0.1);
          shown += step;
          return work_.advance(amount + std::max(step, 0.0));
        }));
    work_.set_peak(peak);
    return {};
  }

  // Of what was read and of what was written, several files at a time.
  Status write_checksums(const fs::path& folder) {
    QHX_RETURN_IF_ERROR(work_.begin_next());
    std::vector<fs::path> files = inputs_;
    const std::vector<fs::path> made = bundle_files(folder);
    files.insert(files.end(), made.begin(), made.end());
    std::mutex mutex;
    Status status;
    pool_.run(files.size(), [&](std::size_t i) {
      auto sha256 = sha256_hex_of_file(files[i]);
      const std::lock_guard lock(mutex);
      if (!status.ok()) return;
      if (!sha256.ok()) {
        status = sha256.status();
        return;
      }
      const auto bytes = static_cast<std::uint64_t>(total_bytes({files[i]}));
      const std::string name = files[i].filename().string();
      if (i < inputs_.size()) {
        record_.inputs[name] = {bytes, *sha256};
      } else {
        facts_.files[name].bytes = bytes;
        facts_.files[name].sha256 = *sha256;
      }
      status = work_.advance(Costs::checksum(static_cast<double>(bytes)));
    });
    return status;
  }

  Status write_manifests(const fs::path& folder) {
    const auto write = [&](const std::string& file, const manifest::Manifest& manifest) -> Status {
      QHX_RETURN_IF_ERROR(
          write_file(folder / file, manifest::print_manifest(manifest).dump(2) + "\n"));
      return check_bundle(folder / file, *system_).with_context("checking the finished bundle");
    };
    if (options_.pictures)
      QHX_RETURN_IF_ERROR(
          write(names_->vlm_manifest, make_vlm_manifest(options_, config_, *names_, facts_)));
    QHX_RETURN_IF_ERROR(
        write(names_->text_manifest, make_text_manifest(options_, config_, *names_, facts_)));
    QHX_RETURN_IF_ERROR(work_.finish());
    QHX_ASSIGN_OR_RETURN(record_.proofs, read_proof_notes(folder));
    record_.stages = work_.times();
    record_.peak_resident_bytes = largest_peak();
    return write_file(folder / names_->record,
                      print_record(options_, facts_.model, *library_, record_));
  }

  ForgeReport describe(const fs::path& folder) const {
    ForgeReport report;
    report.model = facts_.model;
    report.bundle = options_.output;
    if (options_.pictures) report.manifests.push_back(names_->vlm_manifest);
    report.manifests.push_back(names_->text_manifest);
    report.bytes = total_bytes(bundle_files(folder));
    report.warnings = scales_.warnings();
    report.quality = quality_;
    report.stages = work_.times();
    report.peak_resident_bytes = largest_peak();
    return report;
  }

  // Of this process and of those made for the contexts.
  std::uint64_t largest_peak() const {
    std::uint64_t peak = peak_resident_bytes();
    for (const StageTime& stage : work_.times()) peak = std::max(peak, stage.peak_bytes);
    return peak;
  }

  const ForgeOptions& options_;
  Work work_;
  ThreadPool pool_;
  hf::ModelConfig config_;
  std::string tokenizer_;  // tokenizer.json
  std::optional<BundleNames> names_;
  std::vector<ContextJob> jobs_;
  CalibrationSet calibration_, rounding_set_, trial_set_;
  ActivationScales scales_;
  WeightPlan plan_;
  nlohmann::ordered_json quality_;  // null: was not measured
  std::optional<Costs> costs_;
  std::optional<hf::Checkpoint> checkpoint_;
  std::vector<fs::path> inputs_;
  std::shared_ptr<const qnn::BackendLibrary> library_;
  std::shared_ptr<const qnn::SystemLibrary> system_;
  std::shared_ptr<const qnn::Backend> backend_;
  BundleFacts facts_;
  ForgeRecord record_;
};

}  // namespace

Result<ForgeReport> forge_bundle(const ForgeOptions& options, Work::Report report,
                                 const std::atomic<bool>* stop) {
  return Forge(options, std::move(report), stop).run();
}

}  // namespace qhx::forge
