// verified.json: what a bundle was proved with, so that a device repeats the check without the
// checkpoint.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "manifest/manifest.h"
#include "verify/judge.h"
#include "verify/trace.h"

namespace qhx::verify {

using manifest::kVerifiedFile;
inline constexpr std::size_t kMostVerifiedBytes = std::size_t{64} << 20;

struct ProvedFile {
  std::uint64_t bytes = 0;
  std::string sha256;
  bool operator==(const ProvedFile&) const = default;
};

struct Verified {
  std::string version, made, library;       // for people
  std::string manifest;                     // its file's name
  std::map<std::string, ProvedFile> files;  // those that the manifest records, and itself
  Input input;
  std::vector<Judge> judges;
};

// Large stages become samples, all stages 16-bit floats.
Result<std::string> print_verified(const Verified& verified);
// Any bytes: kCorrupt names the field. What is returned can be judged with.
Result<Verified> parse_verified(std::string_view text, std::string_view name);

}  // namespace qhx::verify
