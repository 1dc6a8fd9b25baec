#include "graph/cbor.h"

#include <string>
#include <utility>
#include <vector>

namespace qhx::cpu {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDepth = 16;

// Builds the value event by event; returning false ends the parser's recursion.
class Builder : public Json::json_sax_t {
 public:
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(Json::number_integer_t value) override { return add(value); }
  bool number_unsigned(Json::number_unsigned_t value) override { return add(value); }
  bool number_float(Json::number_float_t value, const std::string&) override { return add(value); }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(Json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(Json::object()); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool key(std::string& value) override {
    key_ = std::move(value);
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override {
    return false;
  }

 private:
  Json* place(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    Json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(value));
    return &(parent[key_] = std::move(value));
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    if (open_.size() >= kMaxDepth) return false;
    open_.push_back(place(std::move(value)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;  // a container does not move while it is the last of its parent
  std::string key_;
};

}  // namespace

Result<Json> parse_cbor(std::span<const std::byte> bytes) {
  Builder builder;
  const auto* begin = reinterpret_cast<const std::uint8_t*>(bytes.data());
  try {
    if (Json::sax_parse(begin, begin + bytes.size(), &builder, Json::input_format_t::cbor))
      return builder.take();
  } catch (const std::exception& e) {
    return corrupt(std::string("metadata: ") + e.what());
  }
  return corrupt("metadata: not the CBOR value that it should be");
}

}  // namespace qhx::cpu
