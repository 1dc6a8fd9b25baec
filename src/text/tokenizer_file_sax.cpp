#include "text/tokenizer_file_sax.h"

#include <exception>
#include <limits>

namespace qhx::text {
namespace {

using nlohmann::json;

class Reader : public nlohmann::json_sax<json> {
 public:
  explicit Reader(TokenizerJson& out) : out_(out) {}

  const std::string& error() const { return error_; }

  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override { return number(v); }
  bool number_unsigned(number_unsigned_t v) override {
    return number(v > kMaxInt64 ? std::numeric_limits<std::int64_t>::max()
                                : static_cast<std::int64_t>(v));
  }
  bool number_float(number_float_t v, const string_t&) override { return value(v); }
  bool binary(binary_t&) override { return fail("binary value"); }

  bool string(string_t& v) override {
    if (place_ == Place::kMerges) {
      out_.merges.emplace_back(std::move(v), std::string());
      return true;
    }
    if (place_ == Place::kMergePair) {
      if (pair_size_ == 2) return fail(merge_name() + ": expected two strings, found more");
      auto& merge = out_.merges.back();
      (pair_size_++ == 0 ? merge.first : merge.second) = std::move(v);
      return true;
    }
    return value(std::move(v));
  }

  bool key(string_t& v) override {
    key_ = std::move(v);
    return true;
  }

  bool start_object(std::size_t) override {
    if (in_model() && key_ == "vocab") {
      if (std::exchange(out_.has_vocabulary, true)) return fail("model.vocab: given twice");
      place_ = Place::kVocabulary;
      return true;
    }
    return open(json::object());
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kMerges) {
      out_.merges.emplace_back();
      place_ = Place::kMergePair;
      pair_size_ = 0;
      return true;
    }
    if (in_model() && key_ == "merges") {
      if (std::exchange(out_.has_merges, true)) return fail("model.merges: given twice");
      place_ = Place::kMerges;
      return true;
    }
    return open(json::array());
  }

  bool end_object() override {
    if (place_ == Place::kVocabulary) {
      place_ = Place::kTree;
    } else {
      open_.pop_back();
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::kMergePair) {
      if (pair_size_ != 2) return fail(merge_name() + ": expected two strings, found fewer");
      place_ = Place::kMerges;
    } else if (place_ == Place::kMerges) {
      place_ = Place::kTree;
    } else {
      open_.pop_back();
    }
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& e) override {
    return fail(e.what());
  }

 private:
  enum class Place { kTree, kVocabulary, kMerges, kMergePair };
  static constexpr std::size_t kMaxDepth = 64;
  static constexpr std::uint64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();

  bool fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  std::string merge_name() const {
    return "model.merges[" + std::to_string(out_.merges.size() - 1) + "]";
  }

  bool in_model() const {
    return place_ == Place::kTree && open_.size() == 2 && open_[0]->is_object() &&
           open_[1] == model_;
  }

  bool number(std::int64_t v) {
    if (place_ != Place::kVocabulary) return value(v);
    out_.vocabulary.emplace_back(std::move(key_), v);
    return true;
  }

  bool value(json v) {
    switch (place_) {
      case Place::kVocabulary:
        return fail("model.vocab[\"" + key_ + "\"]: expected an integer, found " + v.type_name());
      case Place::kMerges:
      case Place::kMergePair:
        return fail("model.merges[" + std::to_string(out_.merges.size()) +
                    "]: expected strings, found " + v.type_name());
      case Place::kTree:
        break;
    }
    add(std::move(v));
    return true;
  }

  json* add(json v) {
    if (open_.empty()) return &(out_.tree = std::move(v));
    json& parent = *open_.back();
    if (parent.is_object()) return &(parent[key_] = std::move(v));
    parent.push_back(std::move(v));
    return &parent.back();
  }

  bool open(json container) {
    if (place_ != Place::kTree) return value(std::move(container));
    if (open_.size() == kMaxDepth) return fail("nested deeper than " + std::to_string(kMaxDepth));
    const bool is_model = open_.size() == 1 && open_[0]->is_object() && key_ == "model";
    json* added = add(std::move(container));
    if (is_model) model_ = added;
    open_.push_back(added);
    return true;
  }

  TokenizerJson& out_;
  std::vector<json*> open_;  // root first; a container's address is stable while it is open
  const json* model_ = nullptr;
  Place place_ = Place::kTree;
  int pair_size_ = 0;
  std::string key_;
  std::string error_;
};

}  // namespace

Result<TokenizerJson> read_tokenizer_json(std::string_view text) {
  TokenizerJson out;
  Reader reader(out);
  try {
    if (json::sax_parse(text, &reader)) return out;
  } catch (const std::exception& e) {
    return corrupt(e.what());
  }
  return corrupt(reader.error());
}

}  // namespace qhx::text
