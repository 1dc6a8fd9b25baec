// What a bundle is run on to see how few bits it needs.
#pragma once

#include <vector>

#include "base/status.h"
#include "engine/engine.h"
#include "verify/trace.h"

namespace qhx::tune {

// Pictures of several kinds, where the bundle takes them, and texts of several kinds, as far as
// they fit into the context. Each with one token of an answer, so that all stages run once.
Result<std::vector<verify::Input>> make_samples(const engine::Engine& engine);

}  // namespace qhx::tune
