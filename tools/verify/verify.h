// qhx verify: proves a bundle against the reference, or repeats what proved it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "verify/judge.h"

namespace qhx::verify {

struct Options {
  std::filesystem::path path;                   // a bundle's folder or one of its manifests
  std::filesystem::path against;                // Hugging Face folder; empty: verified.json decides
  std::string backend_library, system_library;  // empty: found
  std::string cpu_library;                      // where bundles for CPUs find theirs
  std::filesystem::path image;
  std::optional<std::string> prompt;
  std::size_t tokens = 0;  // 0: kDefaultTokens
  std::string weights;     // "f16", "w8", "w4"; empty: what forge.json says
  bool write = false;
  bool allow_low_memory = false;
  bool progress = true;  // on stderr, after two seconds
  int threads = 0;
};
inline constexpr std::size_t kDefaultTokens = 8;

struct Report {
  std::string manifest, library, source;
  std::string prompt, text;
  bool picture = false;
  std::size_t prompt_tokens = 0;
  std::vector<Verdict> verdicts;
  std::string written;  // file, if one was
  bool ok() const;
};

// An error if the check could not be made; figures below a threshold are no error but in the
// report.
Result<Report> verify(const Options& options);

std::string to_text(const Report& report);
std::string to_json(const Report& report);

}  // namespace qhx::verify
