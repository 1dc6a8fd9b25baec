// Builds a JSON tree from parser events. Unlike the JSON library's own reader it bounds the depth,
// and it lets the caller treat some events in another way. Keys keep their order; a key given twice
// keeps its first place and last value.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace qhx::text {

using Json = nlohmann::ordered_json;

class JsonTreeBuilder {
 public:
  static constexpr std::size_t kMaxDepth = 64;

  void key(std::string name) { key_ = std::move(name); }
  const std::string& current_key() const { return key_; }

  // A scalar, in the place where the events are.
  void add(Json value) { place(std::move(value)); }

  // False if the tree would become too deep.
  bool open(Json empty_container) {
    if (open_.size() == kMaxDepth) return false;
    open_keys_.push_back(key_);
    open_.push_back(place(std::move(empty_container)));
    return true;
  }
  void close() {
    open_.pop_back();
    open_keys_.pop_back();
  }

  // True directly inside the object that is the root's member `name`.
  bool is_inside(const char* name) const {
    return open_.size() == 2 && root_.is_object() && open_[1]->is_object() && open_keys_[1] == name;
  }

  Json& root() { return root_; }

 private:
  Json* place(Json value) {
    if (open_.empty()) return &(root_ = std::move(value));
    Json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(value));
    parent.push_back(std::move(value));
    return &parent.back();
  }

  Json root_;
  std::vector<Json*> open_;  // outermost first; nothing is added beside an open container, so its
                             // address is stable
  std::vector<std::string> open_keys_;
  std::string key_;
};

}  // namespace qhx::text
