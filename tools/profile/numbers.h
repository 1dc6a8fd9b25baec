// Numbers as tables show them.
#pragma once

#include <cstdint>
#include <string>

namespace qhx::profile {

std::string milliseconds(double us);              // "12.34"
std::string megabytes(std::uint64_t bytes);       // "123.4"
std::string percent(double part, double of);      // "37"; "-" of nothing
std::string change(double before, double after);  // "-12.3 %"

}  // namespace qhx::profile
