#include "manifest/writer.h"

#include <cstdio>

namespace qhx::manifest {

Writer::Json Writer::take() {
  if (source_ == nullptr) return std::move(out_);
  for (const auto& [key, value] : source_->items()) {
    if (!known_.contains(key)) out_[key] = value;
  }
  return std::move(out_);
}

const nlohmann::json* Writer::original(const char* key) const {
  if (source_ == nullptr) return nullptr;
  const auto found = source_->find(key);
  return found == source_->end() ? nullptr : &*found;
}

double Writer::shortest(float value) {
  char text[32];
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  double number = 0;
  std::from_chars(text, end, number);
  return number;
}

void Writer::hashes(const char* key, const std::vector<std::uint64_t>& value) {
  Json out = Json::array();
  for (const std::uint64_t hash : value) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    out.push_back(digits);
  }
  put(key, std::move(out), !value.empty());
}

}  // namespace qhx::manifest
