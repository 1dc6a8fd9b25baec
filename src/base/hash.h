// Checksums: SHA-256 for what is recorded and compared between machines, XXH3 for what is checked
// on every load.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace qhx {

using Sha256Digest = std::array<std::uint8_t, 32>;

// SHA-256 of what is added piece by piece. Move-only.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  Sha256& add(std::span<const std::byte> bytes);
  // Ends it: nothing may be added afterwards.
  Sha256Digest digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};
// Lower-case hexadecimal, 64 characters.
std::string hex(const Sha256Digest& digest);

// Lower-case hexadecimal, 64 characters.
std::string sha256_hex(std::span<const std::byte> bytes);
// Streams the file; memory use does not depend on its size.
Result<std::string> sha256_hex_of_file(const std::filesystem::path& path);

// XXH3, 64 bits, seed 0. About memory speed; detects damage, not malice.
std::uint64_t xxh3_64(std::span<const std::byte> bytes);

// The same of what is added piece by piece. Move-only.
class Xxh3 {
 public:
  Xxh3();
  ~Xxh3();
  Xxh3(Xxh3&&) noexcept;
  Xxh3& operator=(Xxh3&&) noexcept;
  void add(std::span<const std::byte> bytes);
  std::uint64_t digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  auto operator<=>(const Hash128&) const = default;
};
// XXH3, 128 bits, seed 0: identifies equal contents.
Hash128 xxh3_128(std::span<const std::byte> bytes);

}  // namespace qhx
