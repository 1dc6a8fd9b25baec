#include "verify/verify.h"

#include <chrono>
#include <cstdio>

#include "base/file.h"
#include "base/progress.h"
#include "base/utc.h"
#include "forge/ranges/drawing.h"
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

// The least cosines of the ladder of proof. Graphs for devices compute in 16-bit floats.
constexpr double kCpuF16 = 0.99999, kDeviceF16 = 0.9999, kSameW8 = 0.9999, kW8Vision = 0.999;

// Shows nothing in the first two seconds.
class Meter {
 public:
  explicit Meter(double total) : total_(total) {}
  void operator()(double units, std::string_view stage) {
    done_ += units;
    if (std::chrono::steady_clock::now() - start_ > std::chrono::seconds(2))
      line_.update(std::min(done_ / total_, 1.0), stage);
  }

 private:
  ProgressLine line_{stderr};
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double total_, done_ = 0;
};

struct Rung {
  std::string name;
  WeightFormat format;
  Thresholds thresholds;
};

std::vector<Rung> rungs(const Bundle& bundle, WeightFormat format) {
  if (format == WeightFormat::kF16) {
    const double least = bundle.for_cpu() ? kCpuF16 : kDeviceF16;
    return {{"fp32 weights", WeightFormat::kF32, {least, least, true}}};
  }
  return {{"the same w8 weights, dequantized", WeightFormat::kW8, {kSameW8, kSameW8, true}},
          {"fp32 weights", WeightFormat::kF32, {kW8Vision, std::nullopt, false}}};
}

Result<std::shared_ptr<engine::Engine>> load_engine(const Options& options, const Bundle& bundle,
                                                    std::string& library) {
  QHX_ASSIGN_OR_RETURN(const qnn::InstalledLibraries libraries,
                       qnn::complete_libraries({options.backend_library, options.system_library},
                                               !bundle.for_cpu(), options.cpu_library));
  QHX_ASSIGN_OR_RETURN(const auto backend, qnn::BackendLibrary::open(libraries.backend));
  library = fs::path(libraries.backend).filename().string() + " " + backend->build_id() +
            (backend->emulates_device() ? " (emulation)" : "");
  qhexrt::EngineOptions load;
  load.manifest = bundle.manifest_path.string();
  load.folder = bundle.folder.string();
  load.backend_library = libraries.backend;
  load.system_library = libraries.system;
  load.threads = options.threads;
  load.verify_hashes = true;  // a proof is of these very bytes
  load.allow_low_memory = options.allow_low_memory;
  return engine::Engine::load(load);
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

void judge_all(const std::vector<Judge>& judges, const Trace& trace, Report& report) {
  for (const Judge& judge : judges) report.verdicts.push_back(judge_trace(judge, trace));
}

void describe(const engine::Engine& engine, const Input& input, Report& report) {
  report.picture = input.picture.has_value();
  report.prompt = input.prompt;
  report.prompt_tokens = input.prompt_ids.size();
  report.text = engine.tokenizer().decode(input.answer_ids, false);
}

Result<std::vector<Judge>> make_judges(const Options& options, const Bundle& bundle,
                                       const engine::Engine& engine, Input& input,
                                       const std::vector<Rung>& ladder, std::size_t tokens,
                                       const Advance& advance) {
  QHX_ASSIGN_OR_RETURN(const hf::ModelConfig config, hf::load_config(options.against));
  QHX_ASSIGN_OR_RETURN(const hf::Checkpoint checkpoint, hf::Checkpoint::open(options.against));
  if (config.text.vocab_size != engine.text_spec().vocab) {
    return invalid_argument("--against " + options.against.string() + ": its vocabulary is " +
                            std::to_string(config.text.vocab_size) + ", that of " +
                            bundle.manifest_path.filename().string() + " " +
                            std::to_string(engine.text_spec().vocab));
  }
  ReferenceRun run{config, checkpoint, {}};
  if (engine.vision() != nullptr) run.patches = engine.vision()->spec().params;
  ThreadPool pool(options.threads);
  std::vector<Judge> judges;
  for (const Rung& rung : ladder) {
    advance(0, "reference: " + std::string(input.picture ? "picture" : "text"));
    QHX_ASSIGN_OR_RETURN(Trace trace, trace_reference(run, rung.format, input, tokens,
                                                      engine.stop_ids(), pool, advance));
    judges.push_back(make_judge(rung.name, rung.thresholds, std::move(trace)));
  }
  return judges;
}

Result<Report> prove(const Options& options) {
  QHX_ASSIGN_OR_RETURN(const Bundle bundle, open_bundle(options.path, ""));
  QHX_ASSIGN_OR_RETURN(const WeightFormat format, weight_format(bundle, options.weights));
  Report report;
  report.manifest = bundle.manifest_path.filename().string();
  report.source = "judged by the reference";
  QHX_ASSIGN_OR_RETURN(const auto engine, load_engine(options, bundle, report.library));
  QHX_ASSIGN_OR_RETURN(Input input, make_input(options, *engine));
  const std::size_t tokens = options.tokens == 0 ? kDefaultTokens : options.tokens;
  QHX_RETURN_IF_ERROR(check_room(*engine, input.prompt_ids.size(), tokens));
  const std::vector<Rung> ladder = rungs(bundle, format);
  const auto steps = static_cast<double>(tokens);
  Meter meter(static_cast<double>(ladder.size()) * (20 + steps) + 40 + 2 * steps);
  const Advance advance = std::ref(meter);
  QHX_ASSIGN_OR_RETURN(std::vector<Judge> judges,
                       make_judges(options, bundle, *engine, input, ladder, tokens, advance));
  advance(0, "bundle: running");
  QHX_ASSIGN_OR_RETURN(const Trace trace, trace_engine(*engine, input, advance));
  judge_all(judges, trace, report);
  describe(*engine, input, report);
  // A bundle that failed carries no file that says it was verified.
  if (!options.write || !report.ok()) return report;
  Verified verified{QHX_VERSION, utc_now(),        report.library,   report.manifest,
                    {},          std::move(input), std::move(judges)};
  QHX_ASSIGN_OR_RETURN(verified.files, proved_files(bundle));
  QHX_ASSIGN_OR_RETURN(const std::string text, print_verified(verified));
  QHX_RETURN_IF_ERROR(write_file(bundle.folder / kVerifiedFile, text));
  report.written = (bundle.folder / kVerifiedFile).string();
  return report;
}

Result<Report> repeat(const Options& options) {
  std::error_code error;
  const bool folder = fs::is_directory(options.path, error);
  const fs::path file = (folder ? options.path : options.path.parent_path()) / kVerifiedFile;
  if (!fs::exists(file, error)) {
    return not_found(file.string() +
                     ": no such file: verify with --against HF_DIR, and --write to make it");
  }
  QHX_ASSIGN_OR_RETURN(const std::string text, read_file(file, kMostVerifiedBytes));
  QHX_ASSIGN_OR_RETURN(Verified verified, parse_verified(text, kVerifiedFile));
  QHX_ASSIGN_OR_RETURN(const Bundle bundle, open_bundle(options.path, verified.manifest));
  Report report;
  report.manifest = bundle.manifest_path.filename().string();
  if (report.manifest != verified.manifest) {
    return invalid_argument(file.string() + ": is about " + verified.manifest + ", not " +
                            report.manifest);
  }
  QHX_RETURN_IF_ERROR(check_files(verified.files, bundle));
  report.source = "judged by verified.json of " + verified.made + " (" + verified.library + ")";
  QHX_ASSIGN_OR_RETURN(const auto engine, load_engine(options, bundle, report.library));
  const std::vector<std::int32_t> recorded = verified.input.prompt_ids;
  QHX_RETURN_IF_ERROR(encode_input(*engine, verified.input));
  if (verified.input.prompt_ids != recorded)
    return corrupt(std::string(kVerifiedFile) + ": input.prompt_ids are not those of its prompt");
  Meter meter(40 + 2 * static_cast<double>(verified.input.answer_ids.size()));
  meter(0, "bundle: running");
  QHX_ASSIGN_OR_RETURN(const Trace trace, trace_engine(*engine, verified.input, std::ref(meter)));
  judge_all(verified.judges, trace, report);
  describe(*engine, verified.input, report);
  return report;
}

}  // namespace

Result<Report> verify(const Options& options) {
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
