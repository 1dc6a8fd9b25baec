#include "graph/constant.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/f16.h"

namespace qhx::cpu {
namespace {

void pack_all_scales(const PackedFormat& format, const Quantization& quantization, std::byte* to) {
  const std::size_t count = packed_scales(format.n, format.k, format.group);
  const float* const from = quantization.scales.data();
  if (format.group == 0) {
    pack_scales(from, format.n, 0, {reinterpret_cast<float*>(to), count});
  } else {
    pack_group_scales(from, format.n, group_count(format.k, format.group), 0,
                      {reinterpret_cast<std::uint16_t*>(to), count});
  }
}

std::span<const std::byte> bytes_of(const std::vector<std::uint32_t>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace

Constant::Constant(DType dtype, std::span<const std::byte> values, const Quantization& quantization)
    : dtype_(dtype), quantization_(quantization) {
  AlignedBuffer buffer = blob_buffer(values.size());
  if (!values.empty()) std::memcpy(buffer.data(), values.data(), values.size());
  raw_ = std::make_shared<Blob>(std::move(buffer), values.size());
}

std::shared_ptr<const Blob> Constant::raw() {
  const std::lock_guard lock(mutex_);
  if (raw_ == nullptr) raw_ = unpack();
  return raw_;
}

std::shared_ptr<const Blob> Constant::as_f32(const ConstantTools& tools) {
  if (dtype_ == DType::kF32) return raw();
  const std::shared_ptr<const Blob> source = raw();
  const std::lock_guard lock(mutex_);
  if (f32_ != nullptr) return f32_;
  const std::size_t count = source->bytes().size() / sizeof(std::uint16_t);
  AlignedBuffer buffer = blob_buffer(count * sizeof(float));
  const std::span halves(reinterpret_cast<const std::uint16_t*>(source->data()), count);
  f16_to_f32(halves, buffer.as<float>().first(count));
  f32_ = tools.blobs.intern(std::make_shared<Blob>(std::move(buffer), count * sizeof(float)));
  return f32_;
}

std::shared_ptr<const Blob> Constant::packed(const PackedFormat& format, WeightLayout layout,
                                             const ConstantTools& tools) {
  const std::lock_guard lock(mutex_);
  Packed& form = packed_[static_cast<std::size_t>(layout)];
  if (form.blob == nullptr) {
    if (raw_ == nullptr) raw_ = unpack();
    if (raw_ == nullptr) return nullptr;
    form = {format, pack(format, layout, tools)};
  }
  raw_.reset();
  return form.blob;
}

std::shared_ptr<const Blob> Constant::pack(const PackedFormat& format, WeightLayout layout,
                                           const ConstantTools& tools) const {
  const std::uint64_t size = format.size_bytes();
  AlignedBuffer buffer = blob_buffer(size);
  const std::span<std::byte> panels =
      buffer.bytes().first(packed_bytes(format.type, format.n, format.k));
  const bool input_major = layout == WeightLayout::kInputMajor;
  const std::size_t n_stride = input_major ? 1 : format.k;
  const std::size_t k_stride = input_major ? format.n : 1;

  constexpr std::size_t kChannelsPerTask = 16 * kPanelWidth;
  const std::size_t tasks = (format.n + kChannelsPerTask - 1) / kChannelsPerTask;
  tools.pool.run(tasks, [&](std::size_t task) {
    const std::size_t first = task * kChannelsPerTask;
    const WeightSource source{.type = format.type,
                              .data = raw_->data() + first * n_stride * size_bytes(dtype_),
                              .n = std::min<std::size_t>(kChannelsPerTask, format.n - first),
                              .k = format.k,
                              .k_stride = k_stride,
                              .n_stride = n_stride};
    pack_weights(source, first, panels);
  });
  if (size > format.scales_offset()) {
    pack_all_scales(format, quantization_, buffer.data() + format.scales_offset());
  }
  return tools.blobs.intern(std::make_shared<Blob>(std::move(buffer), size));
}

// Only float weights have uses besides one linear form, and their packed form keeps every bit.
std::shared_ptr<const Blob> Constant::unpack() const {
  if (dtype_ != DType::kF32 && dtype_ != DType::kF16) return nullptr;
  const std::size_t layout = packed_[0].blob != nullptr ? 0 : 1;
  const PackedFormat& format = packed_[layout].format;
  const PackedWeights weights{
      .type = format.type, .n = format.n, .k = format.k, .panels = packed_[layout].blob->data()};
  const std::uint64_t size = format.n * format.k * size_bytes(dtype_);
  AlignedBuffer buffer = blob_buffer(size);
  const bool input_major = layout == static_cast<std::size_t>(WeightLayout::kInputMajor);
  const std::size_t n_stride = input_major ? 1 : format.k;
  const std::size_t k_stride = input_major ? format.n : 1;
  std::vector<float> channel(format.k);
  for (std::size_t n = 0; n < format.n; ++n) {
    unpack_channel(weights, n, channel);
    for (std::size_t k = 0; k < format.k; ++k) {
      const std::size_t at = n * n_stride + k * k_stride;
      if (dtype_ == DType::kF32) {
        buffer.as<float>()[at] = channel[k];
      } else {
        buffer.as<std::uint16_t>()[at] = f32_to_f16(channel[k]);
      }
    }
  }
  return std::make_shared<Blob>(std::move(buffer), size);
}

std::optional<int> Constant::value_beyond_int4() {
  const std::lock_guard lock(mutex_);
  if (!int4_looked_ && raw_ != nullptr) {
    int4_bad_ = first_beyond_int4(raw_->bytes());
    int4_looked_ = true;
  }
  return int4_bad_;
}

std::optional<int> first_beyond_int4(std::span<const std::byte> values) {
  const auto* v = reinterpret_cast<const std::int8_t*>(values.data());
  std::int8_t least = 0, most = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    least = std::min(least, v[i]);
    most = std::max(most, v[i]);
  }
  if (least < -7) return least;
  if (most > 7) return most;
  return std::nullopt;
}

std::shared_ptr<Constant> ConstantPool::add(DType dtype, const Dims& dims,
                                            const Quantization& quantization,
                                            std::span<const std::byte> values) {
  std::vector<std::uint32_t> description = {static_cast<std::uint32_t>(dtype),
                                            static_cast<std::uint32_t>(quantization.kind),
                                            static_cast<std::uint32_t>(quantization.axis),
                                            quantization.group, quantization.has_offset ? 1u : 0u};
  description.insert(description.end(), dims.begin(), dims.end());
  for (const float scale : quantization.scales)
    description.push_back(std::bit_cast<std::uint32_t>(scale));
  const Key key{xxh3_128(values), xxh3_128(bytes_of(description))};
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Constant>& entry = constants_[key];
  if (entry == nullptr) entry = std::make_shared<Constant>(dtype, values, quantization);
  return entry;
}

}  // namespace qhx::cpu
