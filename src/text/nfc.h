// Unicode Normalization Form C, of the version that the models' tokenizer applies (see
// unicode_tables.h).
#pragma once

#include <string>
#include <string_view>

namespace qhx::text {

// NFC of valid UTF-8. Text that is in NFC already, nearly all text, is returned as it is; otherwise
// the result is written to `storage`, and the view is of that. Linear in the length also for
// endless runs of combining marks (up to the logarithm of a sort), which common libraries are not.
std::string_view nfc(std::string_view text, std::string& storage);

}  // namespace qhx::text
