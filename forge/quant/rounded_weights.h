// Weights that were rounded to 4-bit groups before, with errors made up for: what is read from here
// is used as it is, by forge and the reference alike.
//
// A safetensors file. Of each matrix NAME [out, in] it has
//   NAME.q       U8 [out, in / 2]: two integers -7..7 in a byte, as two's complement of 4 bits, the
//                even input in the low half
//   NAME.scales  F16 [out, in / 32]
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"
#include "forge/hf/safetensors.h"
#include "forge/hf/safetensors_writer.h"

namespace qhx::quant {

class RoundedWeights {
 public:
  static Result<std::shared_ptr<const RoundedWeights>> open(const std::filesystem::path& file);

  bool contains(std::string_view tensor) const;

  struct Rows {
    std::size_t out, in;  // of the whole matrix; kCorrupt if the file has another
    std::size_t first, count;
  };
  // q [count, in] and scales [count, in / 32] (QHX_CHECK). kCorrupt for -8, and for scales that are
  // negative or not finite. Thread-safe.
  Status read(std::string_view tensor, const Rows& rows, std::span<std::int8_t> q,
              std::span<float> scales) const;

 private:
  explicit RoundedWeights(hf::Checkpoint file) : file_(std::move(file)) {}
  hf::Checkpoint file_;
};

class RoundedWriter {
 public:
  struct Matrix {
    std::string name;
    std::size_t out = 0, in = 0;
  };
  static Result<RoundedWriter> create(const std::filesystem::path& file,
                                      std::span<const Matrix> matrices);
  // In the order of the list. `packed` is what pack_4bit() gives.
  Status write(const std::string& name, std::span<const std::uint8_t> packed,
               std::span<const std::uint16_t> scales);
  Status commit() { return file_.commit(); }

 private:
  explicit RoundedWriter(hf::SafetensorsWriter file) : file_(std::move(file)) {}
  hf::SafetensorsWriter file_;
};

// Two integers -7..7 a byte; q.size() is even.
void pack_4bit(std::span<const std::int8_t> q, std::span<std::uint8_t> packed);

}  // namespace qhx::quant
