#include "forge/hf/json_text.h"

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace qhx::hf {
namespace {

using Json = nlohmann::json;

// Deep enough for every file we read; comparing and printing values recurses.
constexpr int kMaxDepth = 64;

// Sees the events of a parse and remembers the first key that its object already has. Throws on too
// deep nesting, the only way to stop the parser.
class DuplicateKeys {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxDepth)
      throw std::length_error("nested deeper than " + std::to_string(kMaxDepth));
    switch (event) {
      case Json::parse_event_t::object_start:
        open_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        open_.pop_back();
        break;
      case Json::parse_event_t::key: {
        const auto& key = parsed.get_ref<const std::string&>();
        if (!open_.back().insert(key).second && first_.empty()) first_ = "\"" + key + "\"";
        break;
      }
      default:
        break;
    }
    return true;
  }
  const std::string& first() const { return first_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string first_;
};

}  // namespace

Result<Json> parse_json(std::string_view text) {
  try {
    DuplicateKeys duplicates;
    Json value = Json::parse(text, [&](int depth, Json::parse_event_t event, Json& parsed) {
      return duplicates(depth, event, parsed);
    });
    if (!duplicates.first().empty()) {
      return corrupt("JSON: the key " + duplicates.first() + " is given twice in one object");
    }
    return value;
  } catch (const std::exception& error) {
    return corrupt(std::string("JSON: ") + error.what());
  }
}

std::string short_dump(const Json& value) {
  constexpr std::size_t kLongest = 100;
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

}  // namespace qhx::hf
