// Text that is safe between tags and in attributes of HTML.
#pragma once

#include <string>
#include <string_view>

namespace qhx::profile {

std::string html_text(std::string_view text);

}  // namespace qhx::profile
