// Writes one safetensors file (safetensors.h has the format), a tensor at a time.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/file.h"
#include "base/status.h"

namespace qhx::hf {

struct NewTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::size_t> shape;
};

class SafetensorsWriter {
 public:
  // Sizes come first in the file, so all tensors must be known, in the order they are written.
  static Result<SafetensorsWriter> create(const std::filesystem::path& file,
                                          std::vector<NewTensor> tensors,
                                          const std::map<std::string, std::string>& metadata);

  // The next tensor of the list; its name and size are checked (QHX_CHECK).
  Status write(std::string_view name, std::span<const std::byte> bytes);
  // After the last one. Before it there is no file.
  Status commit();

 private:
  SafetensorsWriter(AtomicFile file, std::vector<NewTensor> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}
  AtomicFile file_;
  std::vector<NewTensor> tensors_;
  std::size_t written_ = 0;
};

}  // namespace qhx::hf
