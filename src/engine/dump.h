// --dump: what passes between the stages, as .npy files of fixed names (docs/cli.md).
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/status.h"
#include "runtime/vision_encoder.h"
#include "vision/image.h"

namespace qhx::engine {

// Does nothing if made with an empty folder. The folder is created with the first file.
class Dump {
 public:
  explicit Dump(std::filesystem::path folder) : folder_(std::move(folder)) {}
  bool on() const { return !folder_.empty(); }

  Status floats(const std::string& name, std::span<const float> values, std::size_t rows = 0);
  Status ints(const std::string& name, std::span<const std::int32_t> values, std::size_t rows = 0);
  Status pixels(const std::string& name, const vision::Image& image);
  // "logits_000" and so on.
  Status logits(std::size_t index, std::span<const float> values);

 private:
  Status write(const std::string& name, DType type, std::span<const std::size_t> shape,
               std::span<const std::byte> bytes);
  std::filesystem::path folder_;
  bool created_ = false;
};

// The stages of one picture. Files of the second picture end in _1, of the third in _2.
class PictureDump final : public runtime::VisionObserver {
 public:
  PictureDump(Dump& dump, std::size_t picture)
      : dump_(dump), suffix_(picture == 0 ? "" : "_" + std::to_string(picture)) {}
  Status pixels(const vision::Image& image) { return dump_.pixels("pixels" + suffix_, image); }
  Status patches(std::span<const float> values, std::size_t rows, std::size_t columns) override;
  Status vision_in(std::span<const float> values, std::size_t rows, std::size_t columns) override;
  Status features(const runtime::ImageFeatures& features, std::size_t hidden) override;

 private:
  Dump& dump_;
  std::string suffix_;
};

}  // namespace qhx::engine
