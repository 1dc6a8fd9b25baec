// The bundle that is measured and the library that runs it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/bench.h"
#include "bench/observed_graphs.h"
#include "engine/engine.h"
#include "open_bundle.h"
#include "qnn/installed.h"
#include "runtime/qnn_graphs.h"

namespace qhx::bench {

struct Subject {
  tools::Bundle bundle;
  qnn::InstalledLibraries libraries;
  std::shared_ptr<const qnn::BackendLibrary> library;
  std::vector<std::filesystem::path> files;  // all that the manifest names
  qhexrt::EngineOptions options;
};

Result<Subject> open_subject(const Options& options);

// An engine whose graphs tell their times. `observed` belongs to it.
struct ObservedEngine {
  std::unique_ptr<RoleTimes> times = std::make_unique<RoleTimes>();
  std::unique_ptr<runtime::BundleFiles> files;  // of the graphs
  const runtime::QnnGraphs* graphs = nullptr;   // the engine's
  std::shared_ptr<engine::Engine> engine;
};
Result<ObservedEngine> load_observed(const Subject& subject);

// From now on the string holds which kernels our CPU library says it chose; empty before. What
// libraries warn of still goes to stderr.
std::shared_ptr<const std::string> watch_kernel_target();

}  // namespace qhx::bench
