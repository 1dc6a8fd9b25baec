#include "base/npy.h"

#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "base/file.h"

namespace qhx {
namespace {

constexpr std::string_view kMagic("\x93NUMPY\x01\x00", 8);

struct TypeName {
  DType type;
  std::string_view descr;
};
constexpr TypeName kTypes[] = {{DType::kF32, "<f4"}, {DType::kF16, "<f2"}, {DType::kI8, "|i1"},
                               {DType::kU8, "|u1"},  {DType::kI16, "<i2"}, {DType::kU16, "<u2"},
                               {DType::kI32, "<i4"}, {DType::kU32, "<u4"}, {DType::kI64, "<i8"},
                               {DType::kBool, "|b1"}};

// The text between `before` and the next `after`; empty if either is missing.
std::string_view between(std::string_view text, std::string_view before, char after) {
  const std::size_t begin = text.find(before);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin + before.size());
  return text.substr(0, text.find(after));
}

}  // namespace

Status write_npy(const std::filesystem::path& path, DType type, std::span<const std::size_t> shape,
                 std::span<const std::byte> bytes) {
  std::string header = "{'descr': '";
  for (const TypeName& entry : kTypes) {
    if (entry.type == type) header += entry.descr;
  }
  header += "', 'fortran_order': False, 'shape': (";
  std::size_t count = 1;
  for (const std::size_t extent : shape) {
    header += std::to_string(extent) + ",";
    count *= extent;
  }
  QHX_CHECK(type != DType::kBF16 && count * size_bytes(type) == bytes.size());
  header += "), }";
  const std::size_t unpadded = kMagic.size() + 2 + header.size() + 1;
  header.append((64 - unpadded % 64) % 64, ' ');
  header += '\n';

  QHX_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  QHX_RETURN_IF_ERROR(file.write(kMagic));
  const char length[2] = {static_cast<char>(header.size() & 0xFF),
                          static_cast<char>(header.size() >> 8)};
  QHX_RETURN_IF_ERROR(file.write(std::string_view(length, 2)));
  QHX_RETURN_IF_ERROR(file.write(header));
  QHX_RETURN_IF_ERROR(file.write(bytes));
  return file.commit();
}

Result<NpyArray> read_npy(const std::filesystem::path& path) {
  const Result<std::string> file = read_file(path, std::size_t{8} << 30);
  if (!file.ok()) return file.status();
  const std::string_view text = *file;
  const auto bad = [&](const std::string& why) {
    return corrupt(path.string() + ": not a readable .npy file: " + why);
  };
  if (text.size() < 10 || !text.starts_with(kMagic)) return bad("expected format 1.0");
  const std::size_t length = static_cast<unsigned char>(text[8]) |
                             static_cast<std::size_t>(static_cast<unsigned char>(text[9])) << 8;
  if (text.size() < 10 + length) return bad("truncated header");
  const std::string_view header = text.substr(10, length);
  if (header.find("'fortran_order': False") == std::string_view::npos)
    return bad("expected C order");

  NpyArray array;
  const std::string_view descr = between(header, "'descr': '", '\'');
  bool known = false;
  for (const TypeName& entry : kTypes) {
    if (entry.descr == descr) array.type = entry.type, known = true;
  }
  if (!known) return bad("unknown element type '" + std::string(descr) + "'");

  std::size_t count = 1, digits = 0, extent = 0;
  for (const char c : std::string(between(header, "'shape': (", ')')) + ",") {
    if (c >= '0' && c <= '9') {
      if (++digits > 15) return bad("unreadable shape");
      extent = extent * 10 + static_cast<std::size_t>(c - '0');
    } else if (c == ',' && digits > 0) {
      if (extent != 0 && count > std::numeric_limits<std::size_t>::max() / 8 / extent)
        return bad("shape too large");
      array.shape.push_back(extent);
      count *= extent;
      digits = extent = 0;
    } else if (c != ' ' && c != ',') {
      return bad("unreadable shape");
    }
  }
  const std::size_t payload = text.size() - 10 - length;
  if (payload != count * size_bytes(array.type)) {
    return bad("shape needs " + std::to_string(count * size_bytes(array.type)) + " bytes, found " +
               std::to_string(payload));
  }
  array.bytes.resize(payload);
  std::memcpy(array.bytes.data(), text.data() + 10 + length, payload);
  return array;
}

}  // namespace qhx
