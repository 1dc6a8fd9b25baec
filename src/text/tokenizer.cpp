#include "text/tokenizer.h"

#include "base/mapped_file.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace qhx::text {

Result<Tokenizer> Tokenizer::from_json(std::string_view json, std::string_view name) {
  auto file = parse_tokenizer_file(json);
  if (!file.ok()) return file.status().with_context(name);
  // Built here and not with the first text, which somebody waits for.
  static_cast<void>(UnicodeProperties::instance());
  auto impl = Impl::create(*std::move(file));
  if (!impl.ok()) return impl.status().with_context(name);
  return Tokenizer(*std::move(impl));
}

Result<Tokenizer> Tokenizer::from_file(const std::filesystem::path& path) {
  QHX_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  return from_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text, bool parse_added_tokens) const {
  const TextRange everything{0, SIZE_MAX};
  return encode(text,
                parse_added_tokens ? std::span<const TextRange>() : std::span(&everything, 1));
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text,
                                            std::span<const TextRange> literal) const {
  if (valid_utf8_prefix(text) == text.size()) return impl_->encode(text, literal);
  // Replacing changes lengths, so the text is rebuilt from the ranges' borders on.
  std::string repaired;
  std::vector<TextRange> moved;
  std::size_t done = 0;
  const auto copy_to = [&](std::size_t end) {
    end = std::min(std::max(end, done), text.size());
    append_replacing_invalid(text.substr(done, end - done), false, repaired);
    done = end;
    return repaired.size();
  };
  for (const TextRange& range : literal) {
    const std::size_t begin = copy_to(range.begin);
    moved.push_back({begin, copy_to(range.end)});
  }
  copy_to(text.size());
  return impl_->encode(repaired, moved);
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string bytes, text;
  for (const std::int32_t id : ids) {
    if (skip_special && is_special(id)) continue;
    bytes.append(token_bytes(id));
  }
  append_replacing_invalid(bytes, false, text);
  return text;
}

std::string_view Tokenizer::token_bytes(std::int32_t id) const {
  return impl_->vocabulary.bytes(id);
}

std::optional<std::int32_t> Tokenizer::added_token_id(std::string_view content) const {
  const auto added = impl_->added_ids.find(std::string(content));
  if (added == impl_->added_ids.end()) return std::nullopt;
  return added->second;
}

std::optional<std::int32_t> Tokenizer::token_id(std::string_view token) const {
  if (const auto id = added_token_id(token)) return id;
  if (valid_utf8_prefix(token) != token.size()) return std::nullopt;
  const auto bytes = bytes_from_alphabet(token);
  return bytes.has_value() ? impl_->vocabulary.find(*bytes) : std::nullopt;
}

bool Tokenizer::is_special(std::int32_t id) const {
  return id >= 0 && id < vocab_size() && impl_->special[static_cast<std::size_t>(id)];
}

std::int32_t Tokenizer::vocab_size() const { return impl_->vocabulary.size(); }

}  // namespace qhx::text
