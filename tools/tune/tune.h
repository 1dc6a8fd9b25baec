// qhx tune: how few bits the activations of a bundle's linears need, measured on this machine's CPU
// library and written into the bundle's manifests (artifacts.contexts.ROLE.activations).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/status.h"

namespace qhx::tune {

// What a bundle must keep: the cosine of every stage with what 16 bits make of it.
inline constexpr double kLeastCosine = 0.9999;

struct Options {
  std::filesystem::path path;                   // a bundle's folder or one of its manifests
  std::string backend_library, system_library;  // empty: found
  std::string cpu_library;                      // where bundles for CPUs find theirs
  bool dry_run = false;                         // leaves the manifests as they are
  bool allow_low_memory = false;
  bool progress = true;  // on stderr, after two seconds
  int threads = 0;
};

// A form that was tried for a role's context.
struct Attempt {
  std::string role, form;
  std::string stage;    // the worst
  double least = 1;     // cosine of it over all samples
  double expected = 1;  // the least that other inputs should give: three deviations below the mean
  bool ok() const { return least >= kLeastCosine && expected >= kLeastCosine; }
};

struct Choice {
  std::string role;  // "vision", "llm"
  std::string form;  // "int8", "mixed", "wide"; empty: none keeps the cosine
  std::string name() const { return form.empty() ? "int16" : form; }
};

struct Report {
  std::string manifest, library;
  std::size_t pictures = 0, texts = 0;
  std::vector<Attempt> attempts;
  std::vector<Choice> choices;
  std::vector<std::string> written;  // manifests
  std::string why_not;               // nothing was measured: a sentence
};

// kUnsupported for bundles of devices; errors of loading and running the bundle.
Result<Report> tune(const Options& options);

std::string to_text(const Report& report);
std::string to_json(const Report& report);

}  // namespace qhx::tune
