// The visitors of describe.h that write a manifest and that list its keys.
#pragma once

#include <charconv>
#include <concepts>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>

#include "manifest/describe.h"

namespace qhx::manifest {

// Builds one object: first the known keys that have a value, then what `source` (may be null) has
// besides.
class Writer {
 public:
  static constexpr bool kWrites = true;
  using Json = nlohmann::ordered_json;

  explicit Writer(const nlohmann::json* source)
      : source_(source != nullptr && source->is_object() ? source : nullptr) {}

  Json take();

  void version(const char* key, const std::int32_t& value) { put(key, value, true); }
  void text(const char* key, const std::string& value) { put(key, value, !value.empty()); }
  void texts(const char* key, const std::vector<std::string>& value) {
    put(key, value, !value.empty());
  }
  void choice(const char* key, const std::string& value, std::initializer_list<std::string_view>) {
    text(key, value);
  }
  void path(const char* key, const std::string& value) { text(key, value); }
  void required_path(const char* key, const std::string& value) { put(key, value, true); }
  void sha256(const char* key, const std::string& value) { text(key, value); }
  void ids(const char* key, const std::vector<std::int32_t>& value) {
    put(key, value, !value.empty());
  }
  void hashes(const char* key, const std::vector<std::uint64_t>& value);
  void names(const char* key, const std::map<std::string, std::string>& value) {
    put(key, value, !value.empty());
  }
  void around(const char* key, const std::pair<std::string, std::string>& value) {
    put(key, Json::array({value.first, value.second}),
        !value.first.empty() || !value.second.empty());
  }

  template <std::integral T>
  void integer(const char* key, const T& value, Bounds, bool always = false) {
    put(key, value, always || value != 0);
  }
  void integer(const char* key, const std::optional<std::int32_t>& value, Bounds) {
    put(key, value.value_or(0), value.has_value());
  }
  template <std::integral T>
  void required_integer(const char* key, const T& value, Bounds) {
    put(key, value, true);
  }
  template <std::floating_point T>
  void number(const char* key, const T& value, NumberBounds, T unset = -1) {
    put(key, shortest(value), value != unset);
  }

  template <class T, std::size_t N>
  void list(const char* key, const std::array<T, N>& value, Bounds) {
    put(key, value, true);
  }
  template <std::size_t N>
  void list(const char* key, const std::array<float, N>& value, NumberBounds) {
    Json out = Json::array();
    for (const float number : value) out.push_back(shortest(number));
    put(key, std::move(out), true);
  }
  template <class T, std::size_t N>
  void required_list(const char* key, const std::array<T, N>& value, Bounds bounds) {
    list(key, value, bounds);
  }
  template <class T>
  void list(const char* key, const std::vector<T>& value, std::size_t, Bounds) {
    put(key, value, !value.empty());
  }

  template <class F>
  void object(const char* key, F&& write) {
    Writer child(original(key));
    write(child);
    Json value = child.take();
    const bool any = !value.empty() || original(key) != nullptr;
    put(key, std::move(value), any);
  }
  template <class T, class F>
  void optional_object(const char* key, std::optional<T>& value, F&& write) {
    if (!value.has_value()) return put(key, nullptr, false);
    object(key, [&](Writer& child) { write(child, *value); });
  }
  template <class F>
  void flagged_object(const char* key, bool present, F&& write) {
    if (!present) return put(key, nullptr, false);
    Writer child(original(key));
    write(child);
    put(key, child.take(), true);
  }
  template <class T, class F>
  void each(const char* key, std::map<std::string, T>& values, F&& write) {
    const nlohmann::json* before = original(key);
    Json out = Json::object();
    for (auto& [name, value] : values) {
      const bool known = before != nullptr && before->is_object() && before->contains(name);
      Writer child(known ? &(*before)[name] : nullptr);
      write(child, value);
      out[name] = child.take();
    }
    put(key, std::move(out), !values.empty());
  }
  template <class F>
  void steps(const char* key, std::vector<Step>& values, F&& write) {
    const nlohmann::json* before = original(key);
    const bool same = before != nullptr && before->is_array() && before->size() == values.size();
    Json out = Json::array();
    for (std::size_t i = 0; i < values.size(); ++i) {
      Writer child(same ? &(*before)[i] : nullptr);
      write(child, values[i]);
      out.push_back(child.take());
    }
    put(key, std::move(out), !values.empty());
  }

  void fail(std::string_view) {}

 private:
  // The double nearest to the float's shortest decimal form, so that 0.8f is written as 0.8.
  static double shortest(float value);
  static double shortest(double value) { return value; }
  const nlohmann::json* original(const char* key) const;
  template <class T>
  void put(const char* key, T&& value, bool present) {
    known_.insert(key);
    if (present) out_[key] = std::forward<T>(value);
  }

  const nlohmann::json* source_;
  Json out_ = Json::object();
  std::set<std::string> known_;
};

// Collects the paths of all keys.
class KeyLister {
 public:
  static constexpr bool kWrites = false;
  KeyLister(std::string path, std::vector<std::string>& out) : path_(std::move(path)), out_(out) {}

  template <class... A>
  void version(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void text(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void texts(const char* key, A&&...) {
    leaf(key);
  }
  void choice(const char* key, std::string&, std::initializer_list<std::string_view>) { leaf(key); }
  template <class... A>
  void path(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void required_path(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void sha256(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void ids(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void hashes(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void names(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void around(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void integer(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void required_integer(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void number(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void list(const char* key, A&&...) {
    leaf(key);
  }
  template <class... A>
  void required_list(const char* key, A&&...) {
    leaf(key);
  }
  template <class F>
  void object(const char* key, F&& list_keys) {
    KeyLister child(leaf(key), out_);
    list_keys(child);
  }
  template <class T, class F>
  void optional_object(const char* key, std::optional<T>&, F&& list_keys) {
    T value;
    KeyLister child(leaf(key), out_);
    list_keys(child, value);
  }
  template <class F>
  void flagged_object(const char* key, bool, F&& list_keys) {
    object(key, list_keys);
  }
  template <class T, class F>
  void each(const char* key, std::map<std::string, T>&, F&& list_keys) {
    T value;
    KeyLister child(leaf(key) + ".*", out_);
    list_keys(child, value);
  }
  template <class F>
  void steps(const char* key, std::vector<Step>&, F&& list_keys) {
    Step value;
    KeyLister child(leaf(key) + "[]", out_);
    list_keys(child, value);
  }
  void fail(std::string_view) {}

 private:
  std::string leaf(const char* key) {
    out_.push_back(path_.empty() ? key : path_ + "." + key);
    return out_.back();
  }
  std::string path_;
  std::vector<std::string>& out_;
};

}  // namespace qhx::manifest
