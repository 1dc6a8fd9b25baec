// The time of day, for records.
#pragma once

#include <string>

namespace qhx {

// Now in UTC: "2026-11-24T08:30:00Z".
std::string utc_now();

}  // namespace qhx
