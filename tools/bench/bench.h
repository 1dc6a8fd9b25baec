// qhx bench: what a bundle takes on this machine, from a cold load to the last token.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "bench/samples.h"

namespace qhx::bench {

struct Options {
  std::filesystem::path path;                   // a bundle's folder or one of its manifests
  std::string backend_library, system_library;  // empty: found
  std::string cpu_library;                      // where bundles for CPUs find theirs
  std::filesystem::path image;                  // empty: a drawn one
  std::vector<std::size_t> prefill;             // prompt lengths; empty: those of kPrefill that fit
  std::vector<std::size_t> fills;  // tokens in the cache when decoding starts; empty: as above
  std::size_t steps = 16;          // tokens decoded in one measurement
  std::size_t warm_up = 1;         // measurements that do not count
  std::size_t repetitions = 3;     // and those that do
  bool cold = true;                // also load with the files out of the page cache
  bool shares = true;              // where the time goes
  bool allow_arch_mismatch = false;
  bool allow_low_memory = false;
  bool progress = true;  // on stderr, after two seconds
  int threads = 0;
};
inline constexpr std::size_t kPrefill[] = {64, 320};
inline constexpr std::size_t kFills[] = {16, 512};

// Times are milliseconds. `others` is the CPU that other processes used meanwhile, in cores.
struct Load {
  bool cold = false;
  std::uint64_t cached_bytes = 0;  // of the bundle's files, in the page cache before the first one
  Samples load, first_token;       // from the start: ready for a request; its first token is there
  double others = 0;
};

struct TextRate {
  std::size_t tokens = 0;  // of the prompt, or in the cache
  Samples ms;              // of the prompt to its first token, or of `steps` tokens
  double others = 0;
};

// A picture and a question about it, or a question alone; the bundle is loaded.
struct Turn {
  bool picture = false;
  std::size_t prompt_tokens = 0;
  double first_ttft = 0;  // of the first such turn, which loads the vision graph
  Samples image, vision, prefill, ttft;
  Samples second_ttft;            // another question about the same picture after it
  std::size_t second_reused = 0;  // tokens of the second prompt that were in the cache
  double others = 0;
};

// Where the time of one such turn with an answer of `steps` + 1 tokens goes.
struct StageShare {
  std::string stage;  // "vision", "prefill", "decode", "lmhead"; "host": all else
  std::size_t runs = 0;
  double ms = 0, share = 0;
};
struct OpShare {
  std::string stage, op;
  std::uint64_t nodes = 0;
  double share = 0;  // of the stage's nodes together
};

struct Report {
  std::string cpu;
  int usable_cpus = 0, threads = 0;
  std::string library, provider, build_id, kernel_target;  // the last may be unknown: empty
  bool emulation = false;
  std::string manifest, model;
  std::uint64_t bundle_bytes = 0;
  std::size_t context = 0, steps = 0;
  std::vector<Load> loads;
  std::vector<TextRate> prefill, decode;
  std::optional<Turn> turn;                    // unset: the context is too small for it
  std::uint64_t loaded_rss = 0, peak_rss = 0;  // after loading; of all measurements before shares
  std::vector<StageShare> stages;
  std::vector<OpShare> ops;  // empty if the library does not tell
  std::vector<std::string> notes;
};

// kInvalidArgument for lengths that do not fit into the context; otherwise what keeps the bundle
// from being run.
Result<Report> bench(const Options& options);

std::string to_text(const Report& report);
std::string to_json(const Report& report);

}  // namespace qhx::bench
