// In which format each weight matrix of a model is stored. Forge writes bundles by a plan, and the
// reference rounds by the same one.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace qhx::quant {

enum class WeightFormat {
  kF32,  // as it is; for the reference alone
  kF16,
  kW8,  // int8, symmetric, one scale an output channel
  kW4,  // -7..7, one 16-bit float scale for each kGroupSize inputs of an output channel
};
inline constexpr std::size_t kGroupSize = 32;

// "f32", "f16", "w8", "w4".
std::string_view name(WeightFormat format);
std::optional<WeightFormat> parse_format(std::string_view text);
// Scales of groups included; those of channels are too few to count.
double bits_per_weight(WeightFormat format);

// Of matrices whose time is that of reading them: 4 bits are for these alone. The vision encoder
// multiplies each weight with hundreds of patches, so it gains nothing from smaller ones.
bool is_text_weight(std::string_view tensor);

class RoundedWeights;

class WeightPlan {
 public:
  // One format for all, but for what 4 bits are not for: the vision encoder, and rows that are no
  // multiple of a group, have int8 instead.
  WeightPlan(WeightFormat usual = WeightFormat::kF32)  // NOLINT: a format is a plan
      : usual_(usual) {}

  // Another format for one tensor.
  void set(std::string tensor, WeightFormat format) { own_[std::move(tensor)] = format; }

  // Matrices of 4 bits that it has are taken from there instead of being rounded anew.
  void use(std::shared_ptr<const RoundedWeights> rounded) { rounded_ = std::move(rounded); }

  WeightFormat usual() const { return usual_; }
  // Whether tensors have formats of their own.
  bool mixed() const { return !own_.empty(); }
  bool rounds_before() const { return rounded_ != nullptr; }
  // Null: round it to the nearest.
  const RoundedWeights* rounded(std::string_view tensor) const;
  // Of a matrix [out, in].
  WeightFormat of(std::string_view tensor, std::size_t in) const;

 private:
  WeightFormat usual_;
  std::map<std::string, WeightFormat, std::less<>> own_;
  std::shared_ptr<const RoundedWeights> rounded_;
};

}  // namespace qhx::quant
