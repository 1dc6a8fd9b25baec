#include "manifest/reader.h"

#include <charconv>

namespace qhx::manifest {
namespace {

using nlohmann::json;

// A value as it stands in the document, short enough for a message on one line.
std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list of " + std::to_string(value.size());
  constexpr std::size_t kMost = 60;
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true, json::error_handler_t::replace);
  if (text.size() > kMost) text = text.substr(0, kMost) + "…";
  return text;
}

std::string in_words(Bounds bounds) {
  if (bounds.min == 0 && bounds.max >= kAnyU32.max) return "a non-negative integer";
  if (bounds.min == 1 && bounds.max >= kSize.max) return "a positive integer";
  return "an integer from " + std::to_string(bounds.min) + " to " + std::to_string(bounds.max);
}

std::string in_words(double number) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, number).ptr};
}

bool is_hex(std::string_view text, std::size_t digits) {
  return text.size() == digits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool stays_inside(std::string_view file) {
  if (file.empty() || file.find('\0') != std::string_view::npos) return false;
  const std::filesystem::path normal = std::filesystem::path(file).lexically_normal();
  return !normal.is_absolute() && *normal.begin() != "..";
}

}  // namespace

std::string Reader::at(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

std::string Reader::at(std::string_view key, std::size_t index) const {
  return at(key) + "[" + std::to_string(index) + "]";
}

const json* Reader::find(const char* key) const {
  if (object_ == nullptr) return nullptr;
  const auto found = object_->find(key);
  return found == object_->end() ? nullptr : &*found;
}

const json* Reader::find_object(const char* key) {
  const json* value = find(key);
  if (value == nullptr || value->is_object()) return value;
  expected(at(key), "an object", *value);
  return nullptr;
}

const json* Reader::find_list(const char* key, std::size_t count) {
  const json* value = find(key);
  if (value == nullptr || (value->is_array() && value->size() == count)) return value;
  expected(at(key), "a list of " + std::to_string(count), *value);
  return nullptr;
}

void Reader::require(const char* key) {
  if (find(key) == nullptr && status_.ok()) status_ = corrupt(at(key) + ": missing");
}

void Reader::fail(std::string_view what) {
  if (status_.ok()) status_ = corrupt(path_ + ": " + std::string(what));
}

void Reader::expected(const std::string& where, std::string_view what, const json& found) {
  if (status_.ok())
    status_ = corrupt(where + ": expected " + std::string(what) + ", found " + shown(found));
}

bool Reader::read_u64(const json& value, const std::string& where, Bounds bounds,
                      std::uint64_t& out) {
  const bool whole = value.is_number_unsigned();
  const auto number = whole ? value.get<std::uint64_t>() : 0;
  if (!whole || number < bounds.min || number > bounds.max) {
    expected(where, in_words(bounds), value);
    return false;
  }
  out = number;
  return true;
}

bool Reader::read_double(const json& value, const std::string& where, NumberBounds bounds,
                         double& out) {
  const double number = value.is_number() ? value.get<double>() : NAN;
  if (!(number >= bounds.min && number <= bounds.max)) {
    expected(where, "a number from " + in_words(bounds.min) + " to " + in_words(bounds.max), value);
    return false;
  }
  out = number;
  return true;
}

void Reader::version(const char* key, std::int32_t& out) {
  require(key);
  integer(key, out, Bounds{1, 1u << 30});
  if (status_.ok() && out != 1) {
    status_ = unsupported(at(key) + ": this build reads version 1, found " + std::to_string(out));
  }
}

void Reader::text(const char* key, std::string& out) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_string()) return expected(at(key), "a string", *value);
  out = value->get<std::string>();
}

void Reader::choice(const char* key, std::string& out,
                    std::initializer_list<std::string_view> words) {
  const json* value = find(key);
  if (value == nullptr) return;
  std::string listed;
  for (const std::string_view word : words) {
    if (value->is_string() && value->get_ref<const std::string&>() == word) {
      out = word;
      return;
    }
    listed += (listed.empty() ? "\"" : ", \"") + std::string(word) + "\"";
  }
  expected(at(key), "one of " + listed, *value);
}

void Reader::path(const char* key, std::string& out) {
  text(key, out);
  const json* value = find(key);
  if (value != nullptr && value->is_string() && !stays_inside(out)) {
    expected(at(key), "a file name inside the bundle's folder", *value);
  }
}

void Reader::sha256(const char* key, std::string& out) {
  text(key, out);
  const json* value = find(key);
  if (value != nullptr && value->is_string() && !out.empty() && !is_hex(out, 64)) {
    expected(at(key), "64 lower-case hexadecimal digits", *value);
  }
}

void Reader::ids(const char* key, std::vector<std::int32_t>& out) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_array()) return read_integer(*value, at(key), kTokenId, out.emplace_back());
  for (std::size_t i = 0; i < value->size(); ++i)
    read_integer((*value)[i], at(key, i), kTokenId, out.emplace_back());
}

void Reader::texts(const char* key, std::vector<std::string>& out) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_array()) return expected(at(key), "a list", *value);
  for (std::size_t i = 0; i < value->size(); ++i) {
    if (!(*value)[i].is_string()) return expected(at(key, i), "a string", (*value)[i]);
    out.push_back((*value)[i].get<std::string>());
  }
}

void Reader::hashes(const char* key, std::vector<std::uint64_t>& out) {
  const json* value = find(key);
  if (value == nullptr) return;
  if (!value->is_array()) return expected(at(key), "a list", *value);
  for (std::size_t i = 0; i < value->size(); ++i) {
    const json& item = (*value)[i];
    const auto* digits = item.get_ptr<const std::string*>();
    if (digits == nullptr || !is_hex(*digits, 16))
      return expected(at(key, i), "16 lower-case hexadecimal digits", item);
    std::from_chars(digits->data(), digits->data() + 16, out.emplace_back(), 16);
  }
}

void Reader::names(const char* key, std::map<std::string, std::string>& out) {
  const json* value = find_object(key);
  if (value == nullptr) return;
  for (const auto& [name, item] : value->items()) {
    if (!item.is_string()) return expected(at(key) + "." + name, "a string", item);
    out[name] = item.get<std::string>();
  }
}

void Reader::around(const char* key, std::pair<std::string, std::string>& out) {
  const json* value = find_list(key, 2);
  if (value == nullptr) return;
  for (std::size_t i = 0; i < 2; ++i) {
    if (!(*value)[i].is_string()) return expected(at(key, i), "a string", (*value)[i]);
  }
  out = {(*value)[0].get<std::string>(), (*value)[1].get<std::string>()};
}

}  // namespace qhx::manifest
