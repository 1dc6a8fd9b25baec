// The texts that a calibration set has where the user gives none.
#pragma once

#include <span>

namespace qhx::forge {

// Short, of many alphabets: they show how large activations get.
std::span<const char* const> short_texts();
// Longer ones, of the kinds that models read and write: they show how inputs move together.
std::span<const char* const> passages();
// Of the same kinds, and in none of the others: what was fitted to those is tried on these.
std::span<const char* const> held_out_texts();

}  // namespace qhx::forge
