// The visitor of describe.h that reads: one JSON object of a document. The first error sticks and
// carries the JSON path.
#pragma once

#include <cmath>
#include <concepts>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "manifest/describe.h"

namespace qhx::manifest {

class Reader {
 public:
  static constexpr bool kWrites = false;

  // `object` may be null: then every key is absent. All three outlive the reader.
  Reader(const nlohmann::json* object, std::string path, Status& status)
      : object_(object), path_(std::move(path)), status_(status) {}

  void version(const char* key, std::int32_t& out);
  void text(const char* key, std::string& out);
  void texts(const char* key, std::vector<std::string>& out);
  void choice(const char* key, std::string& out, std::initializer_list<std::string_view> words);
  // A file name that stays inside the bundle, as far as the text alone can tell.
  void path(const char* key, std::string& out);
  void sha256(const char* key, std::string& out);
  void ids(const char* key, std::vector<std::int32_t>& out);
  void hashes(const char* key, std::vector<std::uint64_t>& out);
  void names(const char* key, std::map<std::string, std::string>& out);
  void around(const char* key, std::pair<std::string, std::string>& out);

  template <std::integral T>
  void integer(const char* key, T& out, Bounds bounds, bool /*always*/ = false) {
    if (const nlohmann::json* value = find(key)) read_integer(*value, at(key), bounds, out);
  }
  void integer(const char* key, std::optional<std::int32_t>& out, Bounds bounds) {
    if (find(key) != nullptr) integer(key, out.emplace(), bounds);
  }
  template <std::integral T>
  void required_integer(const char* key, T& out, Bounds bounds) {
    require(key);
    integer(key, out, bounds);
  }

  template <std::floating_point T>
  void number(const char* key, T& out, NumberBounds bounds, T /*unset*/ = -1) {
    if (const nlohmann::json* value = find(key)) read_number(*value, at(key), bounds, out);
  }

  // A list of exactly as many integers or numbers as the array has elements.
  template <class T, std::size_t N, class B>
  void list(const char* key, std::array<T, N>& out, B bounds) {
    const nlohmann::json* value = find_list(key, N);
    for (std::size_t i = 0; value != nullptr && i < N; ++i)
      read_element((*value)[i], at(key, i), bounds, out[i]);
  }
  template <class T, std::size_t N, class B>
  void required_list(const char* key, std::array<T, N>& out, B bounds) {
    require(key);
    list(key, out, bounds);
  }
  template <class T>
  void list(const char* key, std::vector<T>& out, std::size_t count, Bounds bounds) {
    const nlohmann::json* value = find_list(key, count);
    if (value == nullptr) return;
    out.resize(count);
    for (std::size_t i = 0; i < count; ++i) read_element((*value)[i], at(key, i), bounds, out[i]);
  }
  void required_path(const char* key, std::string& out) {
    require(key);
    path(key, out);
  }

  template <class F>
  void object(const char* key, F&& read) {
    Reader child(find_object(key), at(key), status_);
    read(child);
  }
  template <class T, class F>
  void optional_object(const char* key, std::optional<T>& out, F&& read) {
    const nlohmann::json* value = find_object(key);
    if (value == nullptr) return;
    Reader child(value, at(key), status_);
    read(child, out.emplace());
  }
  template <class F>
  void flagged_object(const char* key, bool& present, F&& read) {
    present = find_object(key) != nullptr;
    object(key, read);
  }
  // A map of objects by name.
  template <class T, class F>
  void each(const char* key, std::map<std::string, T>& out, F&& read) {
    const nlohmann::json* value = find_object(key);
    if (value == nullptr) return;
    for (const auto& [name, item] : value->items()) {
      const std::string where = at(key) + "." + name;
      if (!item.is_object()) return expected(where, "an object", item);
      Reader child(&item, where, status_);
      read(child, out[name]);
    }
  }
  template <class F>
  void steps(const char* key, std::vector<Step>& out, F&& read) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_array()) return expected(at(key), "a list", *value);
    for (std::size_t i = 0; i < value->size(); ++i) {
      if (!(*value)[i].is_object()) return expected(at(key, i), "an object", (*value)[i]);
      Reader child(&(*value)[i], at(key, i), status_);
      read(child, out.emplace_back());
    }
  }

  void fail(std::string_view what);

 private:
  std::string at(std::string_view key) const;
  std::string at(std::string_view key, std::size_t index) const;
  const nlohmann::json* find(const char* key) const;
  const nlohmann::json* find_object(const char* key);
  const nlohmann::json* find_list(const char* key, std::size_t count);
  void require(const char* key);
  void expected(const std::string& where, std::string_view what, const nlohmann::json& found);
  bool read_u64(const nlohmann::json& value, const std::string& where, Bounds bounds,
                std::uint64_t& out);
  bool read_double(const nlohmann::json& value, const std::string& where, NumberBounds bounds,
                   double& out);

  template <std::integral T>
  void read_integer(const nlohmann::json& value, const std::string& where, Bounds bounds, T& out) {
    std::uint64_t number = 0;
    if (read_u64(value, where, bounds, number)) out = static_cast<T>(number);
  }
  template <std::floating_point T>
  void read_number(const nlohmann::json& value, const std::string& where, NumberBounds bounds,
                   T& out) {
    double number = 0;
    if (read_double(value, where, bounds, number)) out = static_cast<T>(number);
  }
  template <class T>
  void read_element(const nlohmann::json& value, const std::string& where, Bounds bounds, T& out) {
    read_integer(value, where, bounds, out);
  }
  template <class T>
  void read_element(const nlohmann::json& value, const std::string& where, NumberBounds bounds,
                    T& out) {
    read_number(value, where, bounds, out);
  }

  const nlohmann::json* object_;
  std::string path_;
  Status& status_;
};

}  // namespace qhx::manifest
