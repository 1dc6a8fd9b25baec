// Simulates a model's graphs on devices, one worker process for each.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "forge/bundle/options.h"
#include "profile/report.h"

namespace qhx::profile {

struct Options {
  forge::ForgeOptions forge;  // checkpoint, weights, sizes, libraries, worker; no output
  std::vector<std::string> targets;
  std::vector<Stage> stages;
  std::int32_t corner = 9;
  std::uint32_t layers = 0;      // the first ones alone; 0: all
  bool draw_weights = false;     // the checkpoint has no weights, only config.json
  std::filesystem::path traces;  // existing folder that keeps the traces; empty: they are removed
  // Called often, with the number of the graph and of all graphs; an error stops the work.
  std::function<Status(std::size_t done, std::size_t of, const std::string& graph)> progress;
};

// Minutes of work are not thrown away for a graph that the library cannot finalize: it is one of
// the report's failures. What concerns all graphs, and a stop on request, is an error.
Result<Report> profile(const Options& options);

}  // namespace qhx::profile
