#include "text/tokenizer_file_sax.h"

#include <exception>
#include <limits>

namespace qhx::text {
namespace {

class Reader : public nlohmann::json_sax<Json> {
 public:
  explicit Reader(TokenizerJson& out) : out_(out) {}

  const std::string& error() const { return error_; }
  Json& tree() { return tree_.root(); }

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
    tree_.key(std::move(v));
    return true;
  }

  bool start_object(std::size_t) override {
    if (in_model() && tree_.current_key() == "vocab") {
      if (std::exchange(out_.has_vocabulary, true)) return fail("model.vocab: given twice");
      place_ = Place::kVocabulary;
      return true;
    }
    return open(Json::object());
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kMerges) {
      out_.merges.emplace_back();
      place_ = Place::kMergePair;
      pair_size_ = 0;
      return true;
    }
    if (in_model() && tree_.current_key() == "merges") {
      if (std::exchange(out_.has_merges, true)) return fail("model.merges: given twice");
      place_ = Place::kMerges;
      return true;
    }
    return open(Json::array());
  }

  bool end_object() override {
    if (place_ == Place::kVocabulary) {
      place_ = Place::kTree;
    } else {
      tree_.close();
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
      tree_.close();
    }
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    return fail(e.what());
  }

 private:
  enum class Place { kTree, kVocabulary, kMerges, kMergePair };
  static constexpr std::uint64_t kMaxInt64 = std::numeric_limits<std::int64_t>::max();

  bool fail(std::string message) {
    error_ = std::move(message);
    return false;
  }

  std::string merge_name() const {
    return "model.merges[" + std::to_string(out_.merges.size() - 1) + "]";
  }

  bool in_model() const { return place_ == Place::kTree && tree_.is_inside("model"); }

  bool number(std::int64_t v) {
    if (place_ != Place::kVocabulary) return value(v);
    out_.vocabulary.emplace_back(tree_.current_key(), v);
    return true;
  }

  bool value(Json v) {
    switch (place_) {
      case Place::kVocabulary:
        return fail("model.vocab[\"" + tree_.current_key() + "\"]: expected an integer, found " +
                    v.type_name());
      case Place::kMerges:
      case Place::kMergePair:
        return fail("model.merges[" + std::to_string(out_.merges.size()) +
                    "]: expected strings, found " + v.type_name());
      case Place::kTree:
        break;
    }
    tree_.add(std::move(v));
    return true;
  }

  bool open(Json container) {
    if (place_ != Place::kTree) return value(std::move(container));
    return tree_.open(std::move(container)) ||
           fail("nested deeper than " + std::to_string(tree_.kMaxDepth));
  }

  TokenizerJson& out_;
  JsonTreeBuilder tree_;
  Place place_ = Place::kTree;
  int pair_size_ = 0;
  std::string error_;
};

}  // namespace

Result<TokenizerJson> read_tokenizer_json(std::string_view text) {
  TokenizerJson out;
  Reader reader(out);
  try {
    if (Json::sax_parse(text, &reader)) {
      out.tree = std::move(reader.tree());
      return out;
    }
  } catch (const std::exception& e) {
    return corrupt(e.what());
  }
  return corrupt(reader.error());
}

}  // namespace qhx::text
