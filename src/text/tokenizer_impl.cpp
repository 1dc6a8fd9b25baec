#include "text/tokenizer_impl.h"

#include <algorithm>

#include "text/byte_alphabet.h"
#include "text/nfc.h"
#include "text/splitter.h"
#include "text/utf8.h"

namespace qhx::text {
namespace {

bool is_space(char32_t c) {
  return UnicodeProperties::instance().char_class(c) == CharClass::kSpace;
}

std::size_t end_of_spaces(std::string_view text, std::size_t pos) {
  for (std::size_t length; pos < text.size(); pos += length) {
    if (!is_space(decode_valid_utf8(text.data(), pos, length))) break;
  }
  return pos;
}

std::size_t begin_of_spaces(std::string_view text, std::size_t pos, std::size_t limit) {
  while (pos > limit) {
    std::size_t previous = pos - 1, length;
    while (previous > limit && (static_cast<unsigned char>(text[previous]) & 0xC0) == 0x80)
      --previous;
    if (!is_space(decode_valid_utf8(text.data(), previous, length))) break;
    pos = previous;
  }
  return pos;
}

bool touches(std::span<const TextRange> ranges, std::size_t begin, std::size_t end) {
  const auto first = std::ranges::upper_bound(ranges, begin, {}, &TextRange::end);
  return first != ranges.end() && first->begin < end;
}

// Calls on_token(match) and on_text(begin, end) for the parts of `text`, front to back.
template <typename OnToken, typename OnText>
void cut_out(std::string_view text, const AddedTokenMatcher& matcher,
             const std::vector<AddedToken>& added, std::span<const TextRange> literal,
             OnToken&& on_token, OnText&& on_text) {
  std::size_t done = 0;
  for (std::size_t from = 0;;) {
    auto match = matcher.find(text, from);
    if (!match.has_value()) break;
    if (touches(literal, match->begin, match->end)) {
      from = match->begin + 1;
      continue;
    }
    from = match->end;
    const AddedToken& token = added[match->token];
    const std::size_t begin =
        token.lstrip ? begin_of_spaces(text, std::max(match->begin, done), done) : match->begin;
    const std::size_t end = token.rstrip ? end_of_spaces(text, match->end) : match->end;
    if (begin > done) on_text(done, begin);
    on_token(token);
    done = end;
  }
  if (done < text.size()) on_text(done, text.size());
}

}  // namespace

Result<std::shared_ptr<const Tokenizer::Impl>> Tokenizer::Impl::create(TokenizerFile file) {
  auto impl = std::make_shared<Impl>();
  impl->nfc = file.nfc;
  impl->ignore_merges = file.ignore_merges;
  QHX_RETURN_IF_ERROR(impl->add_vocabulary(file));
  QHX_ASSIGN_OR_RETURN(impl->bpe, Bpe::create(impl->vocabulary, file.merges));
  for (const AddedToken& token : file.added_tokens)
    QHX_RETURN_IF_ERROR(impl->add_added_token(token));
  return std::shared_ptr<const Impl>(std::move(impl));
}

Status Tokenizer::Impl::add_vocabulary(const TokenizerFile& file) {
  model_size = static_cast<std::int32_t>(file.vocabulary.size());
  std::int32_t size = 0;
  for (const auto& [token, id] : file.vocabulary) size = std::max(size, id + 1);
  for (const AddedToken& token : file.added_tokens) size = std::max(size, token.id + 1);
  vocabulary = Vocabulary(size);
  special.resize(static_cast<std::size_t>(size));
  whole = std::make_unique<std::atomic<Whole>[]>(static_cast<std::size_t>(size));
  for (const auto& [token, id] : file.vocabulary) {
    // A token outside the alphabet cannot come out of bytes; as in the package, its bytes are its
    // own UTF-8.
    const auto bytes = bytes_from_alphabet(token);
    if (!vocabulary.add(id, bytes.value_or(token), bytes.has_value())) {
      return corrupt("model.vocab[\"" + token + "\"]: token or id " + std::to_string(id) +
                     " is given twice");
    }
  }
  return {};
}

// The package gives ids itself and ignores those of the file: the id of a token that is there
// already, else the next free one. A file that says otherwise would be read differently there, so
// it is refused.
std::int32_t Tokenizer::Impl::expected_id(const AddedToken& token) const {
  if (const auto known = added_ids.find(token.content); known != added_ids.end())
    return known->second;
  const auto bytes = bytes_from_alphabet(token.content);
  const auto in_model = bytes.has_value() ? vocabulary.find(*bytes) : std::nullopt;
  if (in_model.has_value()) return *in_model;
  return std::max(model_size, largest_added_id + 1);
}

Status Tokenizer::Impl::add_added_token(const AddedToken& token) {
  const std::int32_t expected = expected_id(token);
  if (token.id != expected) {
    return corrupt("added token \"" + token.content + "\": expected id " +
                   std::to_string(expected) + ", found " + std::to_string(token.id));
  }
  std::string storage;
  const std::string content(nfc && token.normalized ? text::nfc(token.content, storage)
                                                    : token.content);
  // Decoding goes through the byte alphabet for added tokens too, as in the package.
  const std::string bytes = bytes_from_alphabet(content).value_or(content);
  if (vocabulary.contains(token.id) && vocabulary.bytes(token.id) != bytes) {
    return corrupt("added token \"" + token.content + "\": id " + std::to_string(token.id) +
                   " already belongs to another token");
  }
  vocabulary.add(token.id, bytes, false);
  added_ids.emplace(token.content, token.id);
  largest_added_id = std::max(largest_added_id, token.id);
  special[static_cast<std::size_t>(token.id)] = token.special;
  added.push_back(token);
  (token.normalized ? normalized_matcher : raw_matcher).add(content, added.size() - 1);
  return {};
}

std::vector<std::int32_t> Tokenizer::Impl::encode(std::string_view text,
                                                  std::span<const TextRange> literal) const {
  std::vector<std::int32_t> ids;
  ids.reserve(text.size() / 3 + 1);
  cut_out(
      text, raw_matcher, added, literal, [&](const AddedToken& token) { ids.push_back(token.id); },
      [&](std::size_t begin, std::size_t end) {
        encode_between(text.substr(begin, end - begin), !touches(literal, begin, end), ids);
      });
  return ids;
}

void Tokenizer::Impl::encode_between(std::string_view raw, bool look_for_normalized,
                                     std::vector<std::int32_t>& ids) const {
  std::string storage;
  const std::string_view text = nfc ? text::nfc(raw, storage) : raw;
  if (normalized_matcher.empty() || !look_for_normalized) return encode_normalized(text, ids);
  cut_out(
      text, normalized_matcher, added, {},
      [&](const AddedToken& token) { ids.push_back(token.id); },
      [&](std::size_t begin, std::size_t end) {
        encode_normalized(text.substr(begin, end - begin), ids);
      });
}

void Tokenizer::Impl::encode_normalized(std::string_view text,
                                        std::vector<std::int32_t>& ids) const {
  for (Splitter splitter(text); !splitter.done();) encode_piece(splitter.next(), ids);
}

void Tokenizer::Impl::encode_piece(std::string_view piece, std::vector<std::int32_t>& ids) const {
  const auto id = vocabulary.find(piece);
  if (!id.has_value()) return bpe.merge(piece, ids);
  std::atomic<Whole>& known = whole[static_cast<std::size_t>(*id)];
  Whole state = ignore_merges ? Whole::kYes : known.load(std::memory_order_relaxed);
  if (state == Whole::kYes) {
    ids.push_back(*id);
    return;
  }
  const std::size_t before = ids.size();
  bpe.merge(piece, ids);
  if (state == Whole::kUnknown) {
    state = ids.size() == before + 1 && ids.back() == *id ? Whole::kYes : Whole::kNo;
    known.store(state, std::memory_order_relaxed);
  }
}

}  // namespace qhx::text
