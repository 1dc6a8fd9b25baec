// Checkpoints with random weights in the family's own format, of any size: what tests and
// benchmarks run on where real weights cannot be had.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/dtype.h"
#include "base/status.h"
#include "base/thread_pool.h"

namespace qhx::tools {

// config.json of a size of the family: "2b", "4b", or "tiny" (made up). kInvalidArgument for
// another name.
Result<nlohmann::json> preset_config(std::string_view name);

struct RandomCheckpoint {
  nlohmann::json config;            // config.json
  std::filesystem::path folder;     // made if absent; files in it are replaced
  std::filesystem::path tokenizer;  // folder to copy tokenizer files from; may be empty
  std::uint64_t seed = 1;
  std::size_t shards = 1;      // more than one: shards and an index
  DType dtype = DType::kBF16;  // or kF16, kF32
};

// Writes config.json, generation_config.json, preprocessor_config.json, weights and tokenizer
// files, streaming. Weights depend on the seed and the tensor's name alone: matrices have a spread
// of 1 / sqrt(inputs), so that activations keep their size from layer to layer, norm weights lie
// around 1, and biases are not zero, so that a forgotten one shows.
Status write_random_checkpoint(const RandomCheckpoint& checkpoint, ThreadPool& pool);

// Takes the special ids and the vocabulary's size from the tokenizer in `folder`.
Status adopt_tokenizer(nlohmann::json& config, const std::filesystem::path& folder);

}  // namespace qhx::tools
