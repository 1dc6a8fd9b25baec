#include "text/tokenizer_file.h"

#include <exception>
#include <span>

#include "text/splitter.h"
#include "text/tokenizer_file_sax.h"

namespace qhx::text {
namespace {

constexpr std::string_view kFamily =
    "; this program reads byte-level BPE with Qwen's split pattern";

Status not_this_family(std::string_view key, std::string_view expected, const Json& found) {
  return unsupported(std::string(key) + ": expected " + std::string(expected) + ", found " +
                     found.dump(-1, ' ', false, Json::error_handler_t::replace) +
                     std::string(kFamily));
}

// The member, or null where it is missing or `parent` is no object.
const Json& member(const Json& parent, const char* key) {
  static const Json kNull;
  if (!parent.is_object()) return kNull;
  const auto found = parent.find(key);
  return found == parent.end() ? kNull : *found;
}

bool is_type(const Json& object, const char* type) { return member(object, "type") == Json(type); }

bool is_false_or_absent(const Json& value) { return value.is_null() || value == Json(false); }

// The steps of a normalizer, pre_tokenizer …: those of a Sequence, one, or none for null.
std::vector<const Json*> steps_of(const Json& parent, const char* key, const char* list_key) {
  const Json& value = member(parent, key);
  if (value.is_null()) return {};
  if (!is_type(value, "Sequence") || !member(value, list_key).is_array()) return {&value};
  std::vector<const Json*> steps;
  for (const Json& step : member(value, list_key)) steps.push_back(&step);
  return steps;
}

Result<bool> read_normalizer(const Json& root) {
  bool has_nfc = false;
  for (const Json* step : steps_of(root, "normalizer", "normalizers")) {
    if (!is_type(*step, "NFC")) return not_this_family("normalizer", "null or NFC", *step);
    has_nfc = true;
  }
  return has_nfc;
}

Status check_pre_tokenizer(const Json& root) {
  const auto steps = steps_of(root, "pre_tokenizer", "pretokenizers");
  if (steps.size() != 2 || !is_type(*steps[0], "Split") || !is_type(*steps[1], "ByteLevel")) {
    return not_this_family("pre_tokenizer", "a Sequence of Split and ByteLevel",
                           member(root, "pre_tokenizer"));
  }
  const Json& split = *steps[0];
  if (member(member(split, "pattern"), "Regex") != Json(kSplitPattern)) {
    return not_this_family("pre_tokenizer Split pattern",
                           "{\"Regex\": \"" + std::string(kSplitPattern) + "\"}",
                           member(split, "pattern"));
  }
  if (member(split, "behavior") != Json("Isolated") ||
      !is_false_or_absent(member(split, "invert"))) {
    return not_this_family("pre_tokenizer Split", "behavior Isolated, invert false", split);
  }
  const Json& bytes = *steps[1];
  if (!is_false_or_absent(member(bytes, "add_prefix_space")) ||
      member(bytes, "use_regex") != Json(false)) {
    return not_this_family("pre_tokenizer ByteLevel", "add_prefix_space false, use_regex false",
                           bytes);
  }
  return {};
}

Status check_decoder(const Json& root) {
  const auto decoder = steps_of(root, "decoder", "decoders");
  if (decoder.size() != 1 || !is_type(*decoder[0], "ByteLevel")) {
    return not_this_family("decoder", "ByteLevel", member(root, "decoder"));
  }
  for (const Json* step : steps_of(root, "post_processor", "processors")) {
    if (!is_type(*step, "ByteLevel"))
      return not_this_family("post_processor", "null or ByteLevel", *step);
  }
  return {};
}

Status check_model(const Json& model) {
  if (!model.is_object())
    return corrupt(std::string("model: expected an object, found ") + model.type_name());
  if (!member(model, "type").is_null() && !is_type(model, "BPE")) {
    return not_this_family("model.type", "BPE", member(model, "type"));
  }
  const Json& dropout = member(model, "dropout");
  if (!dropout.is_null() && dropout != Json(0))
    return not_this_family("model.dropout", "null", dropout);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const Json& affix = member(model, key);
    if (!affix.is_null() && affix != Json("")) {
      return not_this_family(std::string("model.") + key, "null or empty", affix);
    }
  }
  return {};
}

Status check_id(std::int64_t id, const std::string& where) {
  if (id >= 0 && id <= kMaxTokenId) return {};
  return corrupt(where + ": expected an id from 0 to " + std::to_string(kMaxTokenId) + ", found " +
                 std::to_string(id));
}

Status move_vocabulary(TokenizerJson& source, TokenizerFile& out) {
  if (!source.has_vocabulary) return corrupt("model.vocab: expected an object, found none");
  out.vocabulary.reserve(source.vocabulary.size());
  for (auto& [token, id] : source.vocabulary) {
    QHX_RETURN_IF_ERROR(check_id(id, "model.vocab[\"" + token + "\"]"));
    out.vocabulary.emplace_back(std::move(token), static_cast<std::int32_t>(id));
  }
  return {};
}

Status move_merges(TokenizerJson& source, TokenizerFile& out) {
  if (!source.has_merges) return corrupt("model.merges: expected an array, found none");
  out.merges.reserve(source.merges.size());
  for (std::size_t i = 0; i < source.merges.size(); ++i) {
    auto& [first, second] = source.merges[i];
    if (second.empty()) {
      if (first.starts_with("#version"))
        continue;  // the first line of a merges.txt, kept by old converters
      const std::size_t blank = first.find(' ');
      if (blank == std::string::npos || first.find(' ', blank + 1) != std::string::npos) {
        return corrupt("model.merges[" + std::to_string(i) + "]: expected two tokens, found \"" +
                       first + "\"");
      }
      second = first.substr(blank + 1);
      first.resize(blank);
    }
    out.merges.emplace_back(std::move(first), std::move(second));
  }
  return {};
}

Result<bool> read_flag(const Json& token, const char* key, const std::string& where) {
  const Json& value = member(token, key);
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  return corrupt(where + "." + key + ": expected true or false, found " + value.type_name());
}

Result<AddedToken> read_added_token(const Json& source, const std::string& where) {
  const Json& id = member(source, "id");
  const Json& content = member(source, "content");
  if (!id.is_number_integer() || !content.is_string()) {
    return corrupt(where + ": expected an object with id and content, found something else");
  }
  QHX_RETURN_IF_ERROR(check_id(id.get<std::int64_t>(), where + ".id"));
  AddedToken token{.id = id.get<std::int32_t>(), .content = content.get<std::string>()};
  for (const auto& [key, flag] :
       {std::pair("special", &token.special), std::pair("normalized", &token.normalized),
        std::pair("lstrip", &token.lstrip), std::pair("rstrip", &token.rstrip)}) {
    QHX_ASSIGN_OR_RETURN(*flag, read_flag(source, key, where));
  }
  QHX_ASSIGN_OR_RETURN(const bool single_word, read_flag(source, "single_word", where));
  if (single_word)
    return unsupported(where + " (" + token.content + "): single_word is not supported");
  return token;
}

Status read_added_tokens(const Json& root, TokenizerFile& out) {
  const Json& list = member(root, "added_tokens");
  if (list.is_null()) return {};
  if (!list.is_array())
    return corrupt(std::string("added_tokens: expected an array, found ") + list.type_name());
  for (std::size_t i = 0; i < list.size(); ++i) {
    QHX_ASSIGN_OR_RETURN(AddedToken token,
                         read_added_token(list[i], "added_tokens[" + std::to_string(i) + "]"));
    if (!token.content.empty()) out.added_tokens.push_back(std::move(token));
  }
  return {};
}

Result<TokenizerFile> interpret(TokenizerJson source) {
  const Json& root = source.tree;
  if (!root.is_object())
    return corrupt(std::string("expected a JSON object, found ") + root.type_name());
  TokenizerFile out;
  QHX_RETURN_IF_ERROR(check_model(member(root, "model")));
  QHX_ASSIGN_OR_RETURN(out.nfc, read_normalizer(root));
  QHX_RETURN_IF_ERROR(check_pre_tokenizer(root));
  QHX_RETURN_IF_ERROR(check_decoder(root));
  QHX_ASSIGN_OR_RETURN(out.ignore_merges, read_flag(root["model"], "ignore_merges", "model"));
  QHX_RETURN_IF_ERROR(move_vocabulary(source, out));
  QHX_RETURN_IF_ERROR(move_merges(source, out));
  QHX_RETURN_IF_ERROR(read_added_tokens(root, out));
  return out;
}

}  // namespace

Result<TokenizerFile> parse_tokenizer_file(std::string_view text) {
  QHX_ASSIGN_OR_RETURN(TokenizerJson source, read_tokenizer_json(text));
  try {
    return interpret(std::move(source));
  } catch (const std::exception& e) {
    return corrupt(e.what());
  }
}

}  // namespace qhx::text
