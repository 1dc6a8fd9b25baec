#include "tune/tune.h"

#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "meter.h"
#include "open_bundle.h"
#include "qnn/installed.h"
#include "qnn/library.h"
#include "tune/samples.h"
#include "verify/engine_trace.h"
#include "verify/judge.h"

namespace qhx::tune {
namespace {

namespace fs = std::filesystem;
using tools::Bundle;
using verify::Input;
using verify::Trace;

constexpr const char* kVariable = "QHX_CPU_ACTIVATIONS";
constexpr const char *kVision = "vision", *kText = "llm";

// By role: the form of its context's activations.
using Forms = std::map<std::string, std::string>;

// One bundle, run with any forms on the same samples.
class Bench {
 public:
  Bench(const Options& options, const Bundle& bundle) : options_(options), bundle_(bundle) {}

  Status open() {
    QHX_ASSIGN_OR_RETURN(
        libraries_, qnn::complete_libraries({options_.backend_library, options_.system_library},
                                            false, options_.cpu_library));
    QHX_ASSIGN_OR_RETURN(const auto backend, qnn::BackendLibrary::open(libraries_.backend));
    library_ = fs::path(libraries_.backend).filename().string() + " " + backend->build_id();
    QHX_ASSIGN_OR_RETURN(const auto engine, load({}));
    QHX_ASSIGN_OR_RETURN(samples_, make_samples(*engine));
    double work = 0;
    for (const Input& sample : samples_) {
      QHX_ASSIGN_OR_RETURN(const double one, verify::engine_work(*engine, sample, 1, false));
      work += one;
    }
    // What is compared with, and as a rule two forms.
    if (options_.progress) meter_.emplace(3 * work);
    return {};
  }

  Result<std::vector<Trace>> run(const Forms& forms) {
    QHX_ASSIGN_OR_RETURN(const auto engine, load(forms));
    std::vector<Trace> traces;
    for (const Input& sample : samples_) {
      QHX_ASSIGN_OR_RETURN(
          Trace trace,
          verify::trace_engine(*engine, sample, false, [&](double done, std::string_view next) {
            if (meter_) (*meter_)(done, next);
          }));
      traces.push_back(std::move(trace));
    }
    return traces;
  }

  const std::string& library() const { return library_; }
  const std::vector<Input>& samples() const { return samples_; }

 private:
  Result<std::shared_ptr<engine::Engine>> load(const Forms& forms) const {
    manifest::Manifest manifest = bundle_.manifest;
    for (const auto& [role, file] : manifest.artifacts.contexts) {
      const auto form = forms.find(role);
      manifest.artifacts.files[file].activations = form == forms.end() ? "" : form->second;
    }
    qhexrt::EngineOptions load;
    load.manifest = bundle_.manifest_path.string();
    load.folder = bundle_.folder.string();
    load.backend_library = libraries_.backend;
    load.system_library = libraries_.system;
    load.threads = options_.threads;
    load.allow_low_memory = options_.allow_low_memory;
    return engine::Engine::load(load, std::move(manifest));
  }

  const Options& options_;
  const Bundle& bundle_;
  qnn::InstalledLibraries libraries_;
  std::string library_;
  std::vector<Input> samples_;
  std::optional<tools::Meter> meter_;
};

// How far stages are from what they should be, sample by sample: 1 - cosine.
using Deficits = std::map<std::string, std::vector<double>>;

bool same(const std::vector<Trace>& a, const std::vector<Trace>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    for (std::size_t s = 0; s < a[i].stages.size(); ++s) {
      if (a[i].stages[s].values != b[i].stages[s].values) return false;
    }
  }
  return true;
}

Deficits deficits_of(const std::vector<Trace>& expected, const std::vector<Trace>& found,
                     bool pictures) {
  Deficits deficits;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (const verify::StageValue& stage : expected[i].stages) {
      if (verify::is_picture_stage(stage.name) != pictures) continue;
      const verify::StageValue* const other = found[i].find(stage.name);
      const double cosine =
          other == nullptr ? std::nan("") : verify::compare(stage.values, other->values).cosine;
      deficits[stage.name].push_back(std::isnan(cosine) ? 2 : 1 - cosine);
    }
  }
  return deficits;
}

Attempt judge(const std::string& role, const std::string& form, const Deficits& deficits) {
  Attempt attempt{.role = role, .form = form, .stage = {}};
  for (const auto& [stage, values] : deficits) {
    double sum = 0, squares = 0, most = 0;
    for (const double d : values) {
      sum += d;
      most = std::max(most, d);
    }
    const auto count = static_cast<double>(values.size());
    const double mean = sum / count;
    for (const double d : values) squares += (d - mean) * (d - mean);
    const double deviation = values.size() < 2 ? 0 : std::sqrt(squares / (count - 1));
    attempt.expected = std::min(attempt.expected, 1 - mean - 3 * deviation);
    if (!attempt.stage.empty() && 1 - most >= attempt.least) continue;
    attempt.least = 1 - most;
    attempt.stage = stage;
  }
  return attempt;
}

// The form of fewest bits that keeps the cosine of all stages; pictures first, since texts follow
// on them.
class Search {
 public:
  Search(Bench& bench, const Bundle& bundle, Report& report)
      : bench_(bench), bundle_(bundle), report_(report) {}

  Status run() {
    QHX_ASSIGN_OR_RETURN(expected_, bench_.run({}));
    for (const char* const role : {kVision, kText}) {
      if (!bundle_.manifest.artifacts.contexts.contains(role)) continue;
      // The one in the middle tells on which side to look further.
      QHX_ASSIGN_OR_RETURN(const bool mixed, keeps(role, "mixed"));
      if (!report_.why_not.empty()) return {};
      const char* const next = mixed ? "int8" : "wide";
      QHX_ASSIGN_OR_RETURN(const bool further, keeps(role, next));
      if (mixed) chosen_[role] = "mixed";
      if (further) chosen_[role] = next;
      const auto form = chosen_.find(role);
      report_.choices.push_back({role, form == chosen_.end() ? "" : form->second});
    }
    return {};
  }

 private:
  Result<bool> keeps(const std::string& role, const std::string& form) {
    Forms forms = chosen_;
    forms[role] = form;
    // As a rule the text decoder takes the same form: one run tells of both.
    if (role == kVision) forms[kText] = form;
    if (!runs_.contains(forms)) {
      QHX_ASSIGN_OR_RETURN(runs_[forms], bench_.run(forms));
    }
    const std::vector<Trace>& found = runs_[forms];
    if (same(expected_, found)) {
      report_.why_not = bundle_.manifest_path.filename().string() +
                        ": int8 activations change nothing here: its weights are not integers, or "
                        "this machine does not multiply whole bytes (VNNI, dotprod)";
      return false;
    }
    report_.attempts.push_back(judge(role, form, deficits_of(expected_, found, role == kVision)));
    return report_.attempts.back().ok();
  }

  Bench& bench_;
  const Bundle& bundle_;
  Report& report_;
  std::vector<Trace> expected_;
  std::map<Forms, std::vector<Trace>> runs_;
  Forms chosen_;
};

// All manifests of the folder that use the contexts chosen for.
Status write_choices(const Bundle& bundle, Report& report) {
  QHX_ASSIGN_OR_RETURN(const std::vector<fs::path> paths, manifest::manifests_in(bundle.folder));
  for (const fs::path& path : paths) {
    QHX_ASSIGN_OR_RETURN(const std::string text, read_file(path));
    auto json = nlohmann::ordered_json::parse(text, nullptr, /*allow_exceptions=*/false);
    QHX_RETURN_IF_ERROR(manifest::load_manifest(path).status());
    auto& contexts = json["artifacts"]["contexts"];
    bool changed = false;
    for (const auto& [role, form] : report.choices) {
      const auto ours = bundle.manifest.artifacts.contexts.find(role);
      if (!contexts.contains(role) || contexts[role]["bin"] != ours->second) continue;
      if (contexts[role].value("activations", "") == form) continue;
      changed = true;
      if (form.empty()) {
        contexts[role].erase("activations");
      } else {
        contexts[role]["activations"] = form;
      }
    }
    if (!changed) continue;
    QHX_RETURN_IF_ERROR(write_file(path, json.dump(2) + "\n"));
    report.written.push_back(path.string());
  }
  return {};
}

}  // namespace

Result<Report> tune(const Options& options) {
  if (const char* form = std::getenv(kVariable); form != nullptr && *form != '\0') {
    return invalid_argument(std::string(kVariable) + "=" + form +
                            ": unset it, it decides what qhx tune is to find out");
  }
  QHX_ASSIGN_OR_RETURN(const Bundle bundle, tools::open_bundle(options.path, ""));
  if (!bundle.for_cpu()) {
    return unsupported(bundle.manifest_path.string() + ": made for " +
                       bundle.manifest.model.dsp_arch +
                       ", where graphs fix what they compute in; qhx tune is for bundles for CPUs");
  }
  Bench bench(options, bundle);
  QHX_RETURN_IF_ERROR(bench.open());
  Report report{.manifest = bundle.manifest_path.filename().string(), .library = bench.library()};
  for (const Input& sample : bench.samples()) ++(sample.picture ? report.pictures : report.texts);
  QHX_RETURN_IF_ERROR(Search(bench, bundle, report).run());
  if (!options.dry_run) QHX_RETURN_IF_ERROR(write_choices(bundle, report));
  return report;
}

}  // namespace qhx::tune
