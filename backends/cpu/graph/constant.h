// Values of static tensors while a context is built: one copy of equal ones, and the forms that
// execution reads.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <span>

#include "base/hash.h"
#include "base/thread_pool.h"
#include "graph/blob.h"
#include "graph/ir.h"

namespace qhx::cpu {

// What forms of constants need to be made: where equal results meet, and the threads that pack.
struct ConstantTools {
  BlobStore& blobs;
  ThreadPool& pool;
};

// Which of a weight's dimensions are output channels.
enum class WeightLayout : std::uint8_t { kInputMajor /* [K, N] */, kOutputMajor /* [N, K] */ };

// The raw values are let go once a packed form exists; a raw form is rebuilt from it should another
// use need one. Thread-safe.
class Constant {
 public:
  Constant(DType dtype, std::span<const std::byte> values, const Quantization& quantization);

  // The values as the client gave them. Null for a quantized weight that has been packed.
  std::shared_ptr<const Blob> raw();
  // Floating-point values as f32.
  std::shared_ptr<const Blob> as_f32(const ConstantTools& tools);
  // As a weight with n output and k input channels, n * k being the number of elements. Drops the
  // raw values; null if an earlier call with the other layout dropped those of a quantized weight.
  std::shared_ptr<const Blob> packed(const PackedFormat& format, WeightLayout layout,
                                     const ConstantTools& tools);

  // For 4-bit encodings: the first value outside -7 … 7, if there is one. Looks once.
  std::optional<int> value_beyond_int4();

 private:
  std::shared_ptr<const Blob> pack(const PackedFormat& format, WeightLayout layout,
                                   const ConstantTools& tools) const;
  std::shared_ptr<const Blob> unpack() const;

  const DType dtype_;
  const Quantization quantization_;
  std::mutex mutex_;
  std::shared_ptr<const Blob> raw_;
  std::shared_ptr<const Blob> f32_;
  struct Packed {
    PackedFormat format;
    std::shared_ptr<const Blob> blob;
  };
  std::array<Packed, 2> packed_;  // by WeightLayout
  bool int4_looked_ = false;
  std::optional<int> int4_bad_;
};

// Finds the constant of equal type, shape, quantization and values, or makes one. Thread-safe.
class ConstantPool {
 public:
  std::shared_ptr<Constant> add(DType dtype, const Dims& dims, const Quantization& quantization,
                                std::span<const std::byte> values);

 private:
  struct Key {
    Hash128 values;
    Hash128 description;
    auto operator<=>(const Key&) const = default;
  };
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<Constant>> constants_;
};

std::optional<int> first_beyond_int4(std::span<const std::byte> values);

}  // namespace qhx::cpu
