#include "forge/hf/safetensors_writer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"

namespace qhx::hf {
namespace {

std::string_view spelling(DType type) {
  switch (type) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kI8:
      return "I8";
    case DType::kU8:
      return "U8";
    default:
      QHX_CHECK(false && "a type that no writer needs yet");
  }
}

std::size_t bytes_of(const NewTensor& tensor) {
  std::size_t bytes = size_bytes(tensor.dtype);
  for (const std::size_t extent : tensor.shape) bytes *= extent;
  return bytes;
}

}  // namespace

Result<SafetensorsWriter> SafetensorsWriter::create(
    const std::filesystem::path& file, std::vector<NewTensor> tensors,
    const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  std::size_t begin = 0;
  for (const NewTensor& tensor : tensors) {
    const std::size_t end = begin + bytes_of(tensor);
    header[tensor.name] = {
        {"dtype", spelling(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // data begins aligned
  const std::uint64_t length = text.size();
  std::string start(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) start[i] = static_cast<char>(length >> (8 * i));
  QHX_ASSIGN_OR_RETURN(AtomicFile out, AtomicFile::create(file));
  QHX_RETURN_IF_ERROR(out.write(start + text));
  return SafetensorsWriter(std::move(out), std::move(tensors));
}

Status SafetensorsWriter::write(std::string_view name, std::span<const std::byte> bytes) {
  QHX_CHECK(written_ < tensors_.size() && tensors_[written_].name == name);
  QHX_CHECK(bytes.size() == bytes_of(tensors_[written_]));
  ++written_;
  return file_.write(bytes);
}

Status SafetensorsWriter::commit() {
  QHX_CHECK(written_ == tensors_.size());
  return file_.commit();
}

}  // namespace qhx::hf
