// Bytes as text, and pictures as bytes, for verified.json.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "vision/image.h"

namespace qhx::verify {

std::string to_base64(std::span<const std::byte> bytes);
// With padding, without spaces; kCorrupt for anything else.
Result<std::vector<std::byte>> from_base64(std::string_view text);

// Without loss.
Result<std::vector<std::byte>> to_png(const vision::Image& image);

}  // namespace qhx::verify
