// Inside of the reference: how much work its pieces are, for progress, in products of two numbers.
#pragma once

#include "reference/forward.h"

namespace qhx::reference {

double block_products(const hf::VisionConfig& vision, const PictureInput& picture);
double layer_products(const hf::TextConfig& text, const TextInput& prompt);

// Reading and rounding weights instead: those of one layer; the token embedding, or the head.
double load_layer_products(const hf::TextConfig& text);
double load_end_products(const hf::TextConfig& text);

}  // namespace qhx::reference
