// The command line of qhx_generate.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "qhexrt/qhexrt.hpp"

namespace qhx::tools {

struct GenerateArgs {
  qhexrt::EngineOptions engine;
  qhexrt::GenerateConfig config;
  std::string prompt;
  std::string image;  // path; empty: none
  std::optional<std::string> system;
  bool cache_size_given = false;
  bool raw = false;
  bool json = false;
  bool stats = false;
  bool help = false;
  bool version = false;
};

// Six or seven positional arguments in their order; flags stand anywhere. What begins with '-' is a
// flag only if letters, digits and dashes follow it up to the end or a '='; so a prompt such as
// "-5 degrees" needs no care, and "--" makes everything after it positional. kInvalidArgument for
// an unknown flag, a missing or malformed value, or the wrong number of arguments.
Result<GenerateArgs> parse_generate_args(const std::vector<std::string>& args);

std::string generate_usage();

}  // namespace qhx::tools
