#include "text/python_json.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

namespace qhx::text {
namespace {

class Reader : public nlohmann::json_sax<Json> {
 public:
  const std::string& error() const { return error_; }
  Json& tree() { return tree_.root(); }

  bool null() override { return add(nullptr); }
  bool boolean(bool v) override { return add(v); }
  bool number_integer(number_integer_t v) override { return add(v); }
  bool number_unsigned(number_unsigned_t v) override { return add(v); }
  bool number_float(number_float_t v, const string_t& digits) override {
    const bool is_whole = digits.find_first_of(".eE") == string_t::npos;
    if (is_whole) return add(Json::binary({digits.begin(), digits.end()}));
    return add(v);
  }
  bool string(string_t& v) override { return add(std::move(v)); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& v) override {
    tree_.key(std::move(v));
    return true;
  }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    error_ = e.what();
    return false;
  }

 private:
  bool add(Json v) {
    tree_.add(std::move(v));
    return true;
  }
  bool open(Json container) {
    if (tree_.open(std::move(container))) return true;
    error_ = "nested deeper than " + std::to_string(JsonTreeBuilder::kMaxDepth);
    return false;
  }
  bool close() {
    tree_.close();
    return true;
  }

  JsonTreeBuilder tree_;
  std::string error_;
};

void append_string(std::string_view text, std::string& out) {
  out.push_back('"');
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          char escape[7];
          std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
          out += escape;
        } else {
          out.push_back(c);
        }
    }
  }
  out.push_back('"');
}

// The shortest digits that read back as the same number; plain for exponents from -4 to 15, else
// with an exponent of at least two digits.
void append_float(double value, std::string& out) {
  char buffer[32] = {};
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer - 1, value, std::chars_format::scientific).ptr;
  const std::string_view scientific(buffer, static_cast<std::size_t>(end - buffer));
  const std::size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.data() + e + 1);
  if (exponent < -4 || exponent >= 16) {
    out += scientific;
    return;
  }
  char plain[64];
  const auto plain_end =
      std::to_chars(plain, plain + sizeof plain, value, std::chars_format::fixed).ptr;
  const std::string_view digits(plain, static_cast<std::size_t>(plain_end - plain));
  out += digits;
  if (digits.find('.') == std::string_view::npos) out += ".0";
}

void append(const Json& value, std::string& out) {
  switch (value.type()) {
    case Json::value_t::null:
      out += "null";
      break;
    case Json::value_t::boolean:
      out += value.get<bool>() ? "true" : "false";
      break;
    case Json::value_t::number_integer:
      out += std::to_string(value.get<std::int64_t>());
      break;
    case Json::value_t::number_unsigned:
      out += std::to_string(value.get<std::uint64_t>());
      break;
    case Json::value_t::number_float:
      append_float(value.get<double>(), out);
      break;
    case Json::value_t::string:
      append_string(value.get_ref<const std::string&>(), out);
      break;
    case Json::value_t::binary:
      out.append(value.get_binary().begin(), value.get_binary().end());
      break;
    case Json::value_t::array:
    case Json::value_t::object: {
      out.push_back(value.is_object() ? '{' : '[');
      const char* between = "";
      for (const auto& item : value.items()) {
        out += std::exchange(between, ", ");
        if (value.is_object()) {
          append_string(item.key(), out);
          out += ": ";
        }
        append(item.value(), out);
      }
      out.push_back(value.is_object() ? '}' : ']');
      break;
    }
    case Json::value_t::discarded:
      break;
  }
}

}  // namespace

Result<Json> parse_python_json(std::string_view text) {
  Reader reader;
  try {
    if (Json::sax_parse(text, &reader)) return std::move(reader.tree());
  } catch (const std::exception& e) {
    return invalid_argument(e.what());
  }
  return invalid_argument(reader.error());
}

std::string python_dumps(const Json& value) {
  std::string out;
  append(value, out);
  return out;
}

}  // namespace qhx::text
