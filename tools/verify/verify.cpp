#include "verify/verify.h"

#include <algorithm>
#include <tuple>

#include "base/file.h"
#include "base/utc.h"
#include "forge/ranges/drawing.h"
#include "meter.h"
#include "qnn/installed.h"
#include "qnn/library.h"
#include "verify/bundle.h"
#include "verify/engine_trace.h"
#include "verify/reference_trace.h"
#include "verify/verified_file.h"

namespace qhx::verify {
namespace {

namespace fs = std::filesystem;
using reference::WeightFormat;

// The least cosines of the ladder of proof. Graphs for devices compute in 16-bit floats. A value of
// an int8 cache is off by up to 1/254 of its row's largest.
constexpr double kCpuF16 = 0.99999, kDeviceF16 = 0.9999, kSameIntegers = 0.9999, kW8Vision = 0.999,
                 kInt8Cache = 0.9999;

struct Rung {
  std::string name;
  reference::WeightPlan plan;
  Thresholds thresholds;
};

std::vector<Rung> rungs(const Bundle& bundle, const reference::WeightPlan& plan) {
  const WeightFormat format = plan.usual();
  if (format == WeightFormat::kF16) {
    const double least = bundle.for_cpu() ? kCpuF16 : kDeviceF16;
    const double text = bundle.manifest.kv.dtype == "i8" ? std::min(least, kInt8Cache) : least;
    return {{"fp32 weights", WeightFormat::kF32, {least, text, true}}};
  }
  return {
      {"the same " + std::string(plan.mixed() ? "auto" : name(format)) + " weights, dequantized",
       plan,
       {kSameIntegers, kSameIntegers, true}},
      {"fp32 weights", WeightFormat::kF32, {kW8Vision, std::nullopt, false}}};
}

struct Loaded {
  std::shared_ptr<engine::Engine> engine;
  std::string library;  // its name and build
  bool emulation = false;
};

Result<Loaded> load_engine(const Options& options, const Bundle& bundle) {
  QHX_ASSIGN_OR_RETURN(const qnn::InstalledLibraries libraries,
                       qnn::complete_libraries({options.backend_library, options.system_library},
                                               !bundle.for_cpu(), options.cpu_library));
  QHX_ASSIGN_OR_RETURN(const auto backend, qnn::BackendLibrary::open(libraries.backend));
  Loaded loaded;
  loaded.emulation = backend->emulates_device();
  loaded.library = fs::path(libraries.backend).filename().string() + " " + backend->build_id() +
                   (loaded.emulation ? " (emulation)" : "");
  qhexrt::EngineOptions load;
  load.manifest = bundle.manifest_path.string();
  load.folder = bundle.folder.string();
  load.backend_library = libraries.backend;
  load.system_library = libraries.system;
  load.threads = options.threads;
  load.verify_hashes = true;  // a proof is of these very bytes
  load.allow_low_memory = options.allow_low_memory;
  QHX_ASSIGN_OR_RETURN(loaded.engine, engine::Engine::load(load));
  return loaded;
}

Advance make_advance(const Options& options, double work) {
  if (!options.progress) return [](double, std::string_view) {};
  return [meter = std::make_shared<tools::Meter>(work)](double done, std::string_view next) {
    (*meter)(done, next);
  };
}

Result<Input> make_input(const Options& options, const engine::Engine& engine) {
  Input input;
  const auto& size = engine.manifest().vision;
  if (!options.image.empty()) {
    QHX_ASSIGN_OR_RETURN(input.picture, vision::read_image(options.image));
  } else if (size.has_value()) {
    input.picture = forge::draw_calibration_picture(static_cast<int>(size->width),
                                                    static_cast<int>(size->height));
  }
  input.prompt =
      options.prompt.value_or(input.picture ? "Describe this picture." : "Why is the sky blue?");
  QHX_RETURN_IF_ERROR(encode_input(engine, input));
  return input;
}

Report make_report(const Bundle& bundle, const Loaded& loaded, std::string source,
                   const Input& input) {
  Report report;
  report.manifest = bundle.manifest_path.filename().string();
  report.library = loaded.library;
  report.source = std::move(source);
  report.picture = input.picture.has_value();
  report.prompt = input.prompt;
  report.prompt_tokens = input.prompt_ids.size();
  report.text = loaded.engine->tokenizer().decode(input.answer_ids, false);
  return report;
}

// What differs here would be another model, and every stage would say so.
Status check_checkpoint(const Options& options, const Bundle& bundle, const engine::Engine& engine,
                        const hf::ModelConfig& config) {
  const runtime::TextSpec& spec = engine.text_spec();
  const std::tuple<const char*, std::size_t, std::size_t> sizes[] = {
      {"vocab_size", config.text.vocab_size, spec.vocab},
      {"hidden_size", config.text.hidden_size, spec.hidden},
      {"num_hidden_layers", config.text.n_layers, spec.layers},
      {"head_dim", config.text.head_dim, spec.head_dim}};
  for (const auto& [name, expected, found] : sizes) {
    if (expected == found) continue;
    return invalid_argument("--against " + options.against.string() + ": its " + name + " is " +
                            std::to_string(expected) + ", that of " +
                            bundle.manifest_path.filename().string() + " " + std::to_string(found) +
                            ": give the folder that the bundle was forged from");
  }
  return {};
}

// Runs the reference on every rung; the first chooses the answer.
Result<std::vector<Judge>> make_judges(const Options& options, const ReferenceRun& run,
                                       const std::vector<Rung>& ladder, std::size_t tokens,
                                       const engine::Engine& engine, Input& input,
                                       const Advance& advance) {
  ThreadPool pool(options.threads);
  std::vector<Judge> judges;
  for (const Rung& rung : ladder) {
    QHX_ASSIGN_OR_RETURN(Trace trace, trace_reference(run, rung.plan, input, tokens,
                                                      engine.stop_ids(), pool, advance));
    judges.push_back(make_judge(rung.name, rung.thresholds, std::move(trace)));
  }
  return judges;
}

Result<std::string> write_record(const Bundle& bundle, const Report& report, Input input,
                                 std::vector<Judge> judges) {
  Verified verified{QHX_VERSION, utc_now(),        report.library,   report.manifest,
                    {},          std::move(input), std::move(judges)};
  QHX_ASSIGN_OR_RETURN(verified.files, proved_files(bundle));
  QHX_ASSIGN_OR_RETURN(const std::string text, print_verified(verified));
  const fs::path file = bundle.folder / kVerifiedFile;
  QHX_RETURN_IF_ERROR(write_file(file, text));
  return file.string();
}

Result<Report> prove(const Options& options) {
  QHX_ASSIGN_OR_RETURN(const Bundle bundle, open_bundle(options.path, ""));
  QHX_ASSIGN_OR_RETURN(const reference::WeightPlan plan, weight_plan(bundle, options.weights));
  QHX_ASSIGN_OR_RETURN(const hf::ModelConfig config, hf::load_config(options.against));
  QHX_ASSIGN_OR_RETURN(const hf::Checkpoint checkpoint, hf::Checkpoint::open(options.against));
  QHX_ASSIGN_OR_RETURN(const Loaded loaded, load_engine(options, bundle));
  const engine::Engine& engine = *loaded.engine;
  QHX_RETURN_IF_ERROR(check_checkpoint(options, bundle, engine, config));
  QHX_ASSIGN_OR_RETURN(Input input, make_input(options, engine));
  const std::size_t tokens = options.tokens == 0 ? kDefaultTokens : options.tokens;
  QHX_RETURN_IF_ERROR(check_room(engine, input.prompt_ids.size(), tokens));
  ReferenceRun run{config, checkpoint, {}};
  if (engine.vision() != nullptr) run.patches = engine.vision()->spec().params;

  const std::vector<Rung> ladder = rungs(bundle, plan);
  QHX_ASSIGN_OR_RETURN(const double judging, reference_work(run, input, tokens));
  QHX_ASSIGN_OR_RETURN(const double running, engine_work(engine, input, tokens, loaded.emulation));
  const Advance advance =
      make_advance(options, static_cast<double>(ladder.size()) * judging + running);
  QHX_ASSIGN_OR_RETURN(std::vector<Judge> judges,
                       make_judges(options, run, ladder, tokens, engine, input, advance));
  QHX_ASSIGN_OR_RETURN(const Trace trace, trace_engine(engine, input, loaded.emulation, advance));
  Report report = make_report(bundle, loaded, "judged by the reference", input);
  for (const Judge& judge : judges) report.verdicts.push_back(judge_trace(judge, trace));
  // A bundle that failed carries no file that says it was verified.
  if (options.write && report.ok()) {
    QHX_ASSIGN_OR_RETURN(report.written,
                         write_record(bundle, report, std::move(input), std::move(judges)));
  }
  return report;
}

Result<Verified> read_record(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) {
    return not_found(file.string() +
                     ": no such file: verify with --against HF_DIR, and --write to make it");
  }
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(file, kMostVerifiedBytes));
  return parse_verified(text, kVerifiedFile);
}

Result<Report> repeat(const Options& options) {
  std::error_code error;
  const bool folder = fs::is_directory(options.path, error);
  const fs::path file = (folder ? options.path : options.path.parent_path()) / kVerifiedFile;
  QHX_ASSIGN_OR_RETURN(Verified verified, read_record(file));
  QHX_ASSIGN_OR_RETURN(const Bundle bundle, open_bundle(options.path, verified.manifest));
  const std::string manifest = bundle.manifest_path.filename().string();
  if (manifest != verified.manifest) {
    return invalid_argument(file.string() + ": is about " + verified.manifest + ", not " +
                            manifest);
  }
  QHX_RETURN_IF_ERROR(check_files(verified.files, bundle));
  QHX_ASSIGN_OR_RETURN(const Loaded loaded, load_engine(options, bundle));
  Input& input = verified.input;
  const std::vector<std::int32_t> recorded = input.prompt_ids;
  QHX_RETURN_IF_ERROR(encode_input(*loaded.engine, input));
  if (input.prompt_ids != recorded)
    return corrupt(std::string(kVerifiedFile) + ": input.prompt_ids are not those of its prompt");
  QHX_ASSIGN_OR_RETURN(
      const double running,
      engine_work(*loaded.engine, input, input.answer_ids.size(), loaded.emulation));
  QHX_ASSIGN_OR_RETURN(const Trace trace, trace_engine(*loaded.engine, input, loaded.emulation,
                                                       make_advance(options, running)));
  Report report = make_report(
      bundle, loaded, "judged by verified.json of " + verified.made + " (" + verified.library + ")",
      input);
  for (const Judge& judge : verified.judges) report.verdicts.push_back(judge_trace(judge, trace));
  return report;
}

}  // namespace

Result<Report> verify(const Options& options) {
  std::error_code error;
  if (!fs::exists(options.path, error))
    return not_found(options.path.string() + ": no such bundle or manifest");
  if (!options.against.empty()) return prove(options);
  if (options.write || !options.image.empty() || options.prompt || options.tokens != 0 ||
      !options.weights.empty()) {
    return invalid_argument(
        "--image, --prompt, --tokens, --weights and --write go with --against HF_DIR; without it "
        "verified.json decides what is run");
  }
  return repeat(options);
}

}  // namespace qhx::verify
