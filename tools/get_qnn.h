// Gets the vendor's x86 libraries for the user.
#pragma once

#include "base/status.h"

namespace qhx::tools {

// Makes a Python environment in qnn::htp_install_folder() and installs the package with the
// libraries there, with pip, under the vendor's licence; says what it does on stderr unless
// `quiet`. Nothing to do where find_htp_libraries() finds them.
Status install_htp_libraries(bool quiet);

}  // namespace qhx::tools
