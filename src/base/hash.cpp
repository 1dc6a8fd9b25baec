#include "base/hash.h"

#define XXH_INLINE_ALL
#include <openssl/evp.h>
#include <xxhash.h>

#include <cstdio>
#include <memory>

namespace qhx {
namespace {

class Sha256 {
 public:
  Sha256() {
    QHX_CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }
  void update(const void* data, std::size_t size) {
    QHX_CHECK(EVP_DigestUpdate(context_.get(), data, size) == 1);
  }
  std::string hex() {
    unsigned char digest[32];
    QHX_CHECK(EVP_DigestFinal_ex(context_.get(), digest, nullptr) == 1);
    std::string text;
    for (const unsigned char byte : digest) {
      text += "0123456789abcdef"[byte >> 4];
      text += "0123456789abcdef"[byte & 15];
    }
    return text;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free};
};

}  // namespace

std::string sha256_hex(std::span<const std::byte> bytes) {
  Sha256 hash;
  hash.update(bytes.data(), bytes.size());
  return hash.hex();
}

Result<std::string> sha256_hex_of_file(const std::filesystem::path& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                             std::fclose);
  if (file == nullptr) return errno_error(path.string() + ": cannot open");
  Sha256 hash;
  const auto buffer = std::make_unique<char[]>(1 << 20);
  std::size_t n;
  while ((n = std::fread(buffer.get(), 1, 1 << 20, file.get())) > 0) hash.update(buffer.get(), n);
  if (std::ferror(file.get())) return errno_error(path.string() + ": cannot read");
  return hash.hex();
}

std::uint64_t xxh3_64(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Hash128 xxh3_128(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

}  // namespace qhx
