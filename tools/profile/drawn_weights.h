// Random weights in the shapes of a configuration: times depend on shapes alone.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/status.h"

namespace qhx::profile {

// A checkpoint in `to` after config.json of the folder `from`, with as many layers as asked for;
// 0: all.
Status draw_weights(const std::filesystem::path& from, std::uint32_t layers,
                    const std::filesystem::path& to, int threads);

}  // namespace qhx::profile
