// A picture to measure activations on where the user gives none.
#pragma once

#include "vision/image.h"

namespace qhx::forge {

// Flat areas, gradients, edges, fine patterns, noise and strokes like small print, at any size
// (positive, QHX_CHECK). The same each time.
vision::Image draw_calibration_picture(int width, int height);

}  // namespace qhx::forge
