#include <cstdio>

#include "reference/forward.h"

namespace qhx::reference {

std::string Stage::name() const {
  if (!index) return std::string(kind);
  char number[24];
  std::snprintf(number, sizeof number, "_%02zu", *index);
  return std::string(kind) + number;
}

}  // namespace qhx::reference
