// The linear layers of Qwen3-VL 2B, by the number of rows they are called with: pictures of
// 512 x 512 have 1024 patches and 256 tokens after merging.
#pragma once

#include <cstddef>

namespace qhx::bench {

struct ModelLinear {
  const char* stage;
  std::size_t rows;
  const char* layer;
  std::size_t k, n;
};

inline constexpr ModelLinear kModelLinears[] = {
    {"vision", 1024, "qkv", 1024, 3072},
    {"vision", 1024, "proj", 1024, 1024},
    {"vision", 1024, "fc1", 1024, 4096},
    {"vision", 1024, "fc2", 4096, 1024},
    {"merger", 256, "fc1", 4096, 4096},
    {"merger", 256, "fc2", 4096, 2048},
    {"prefill", 320, "q", 2048, 2048},
    {"prefill", 320, "kv", 2048, 1024},
    {"prefill", 320, "o", 2048, 2048},
    {"prefill", 320, "up", 2048, 6144},
    {"prefill", 320, "down", 6144, 2048},
    {"decode", 1, "q", 2048, 2048},
    {"decode", 1, "kv", 2048, 1024},
    {"decode", 1, "o", 2048, 2048},
    {"decode", 1, "up", 2048, 6144},
    {"decode", 1, "down", 6144, 2048},
    {"lmhead", 1, "logits", 2048, 151936},
    // A few rows, as when several tokens are tried at once.
    {"rows_2", 2, "up", 2048, 6144},
    {"rows_4", 4, "up", 2048, 6144},
    {"rows_8", 8, "up", 2048, 6144},
    {"rows_16", 16, "up", 2048, 6144},
};

}  // namespace qhx::bench
