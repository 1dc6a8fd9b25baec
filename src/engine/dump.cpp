#include "engine/dump.h"

#include <cstdio>

#include "base/npy.h"

namespace qhx::engine {

Status Dump::write(const std::string& name, DType type, std::span<const std::size_t> shape,
                   std::span<const std::byte> bytes) {
  if (!created_) {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) return io_error(folder_.string() + ": cannot create: " + error.message());
    created_ = true;
  }
  return write_npy(folder_ / (name + ".npy"), type, shape, bytes);
}

Status Dump::floats(const std::string& name, std::span<const float> values, std::size_t rows) {
  if (!on()) return {};
  const std::size_t shape[] = {rows, rows == 0 ? 0 : values.size() / rows};
  const std::size_t flat[] = {values.size()};
  return write(name, DType::kF32, rows == 0 ? std::span<const std::size_t>(flat) : shape,
               std::as_bytes(values));
}

Status Dump::ints(const std::string& name, std::span<const std::int32_t> values, std::size_t rows) {
  if (!on()) return {};
  const std::size_t shape[] = {rows, rows == 0 ? 0 : values.size() / rows};
  const std::size_t flat[] = {values.size()};
  return write(name, DType::kI32, rows == 0 ? std::span<const std::size_t>(flat) : shape,
               std::as_bytes(values));
}

Status Dump::pixels(const std::string& name, const vision::Image& image) {
  if (!on()) return {};
  const std::size_t shape[] = {static_cast<std::size_t>(image.height),
                               static_cast<std::size_t>(image.width), 3};
  return write(name, DType::kU8, shape, std::as_bytes(std::span(image.rgb)));
}

Status Dump::logits(std::size_t index, std::span<const float> values) {
  if (!on()) return {};
  char name[40];
  std::snprintf(name, sizeof name, "logits_%03zu", index);
  return floats(name, values);
}

Status PictureDump::patches(std::span<const float> values, std::size_t rows, std::size_t) {
  return dump_.floats("patches" + suffix_, values, rows);
}

Status PictureDump::vision_in(std::span<const float> values, std::size_t rows, std::size_t) {
  return dump_.floats("vision_in" + suffix_, values, rows);
}

Status PictureDump::features(const runtime::ImageFeatures& features, std::size_t) {
  QHX_RETURN_IF_ERROR(dump_.floats("image_embeds" + suffix_, features.embeds, features.tokens));
  for (std::size_t k = 0; k < features.deepstack.size(); ++k) {
    QHX_RETURN_IF_ERROR(dump_.floats("deepstack_" + std::to_string(k) + suffix_,
                                     features.deepstack[k], features.tokens));
  }
  return {};
}

}  // namespace qhx::engine
