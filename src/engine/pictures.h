// Pictures of a request, brought to the size that the model sees.
#pragma once

#include "base/hash.h"
#include "base/status.h"
#include "manifest/manifest.h"
#include "qhexrt/qhexrt.hpp"
#include "vision/image.h"

namespace qhx::engine {

// Equal for the same file, or for the same pixels where those are given.
using PictureId = Sha256Digest;
PictureId identify(const qhexrt::Picture& picture);

// Decodes (where needed) and fits to manifest.vision's size. kInvalidArgument for pixels that do
// not match their size; otherwise the errors of vision::decode_image.
Result<vision::Image> prepare_picture(const qhexrt::Picture& picture,
                                      const manifest::Vision& vision);

}  // namespace qhx::engine
