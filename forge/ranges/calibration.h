// The pictures and prompts that activations are measured on, weights rounded by, and what came of
// it tried on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "forge/hf/config.h"
#include "reference/forward.h"

namespace qhx::forge {

struct CalibrationSet {
  struct Prompt {
    std::vector<std::int32_t> tokens;
    std::optional<std::size_t> picture;  // that it is about
  };
  std::vector<reference::PictureInput> pictures;
  std::vector<Prompt> prompts;  // one for each picture, and the texts alone
  std::string description;      // "2 pictures, 3 texts"
};

// What a set is for. Rounding takes more than ranges do, and trials what rounding has not seen.
enum class CalibrationUse { kRanges, kRounding, kTrial };

struct CalibrationRequest {
  CalibrationUse use = CalibrationUse::kRanges;
  // Pictures (.jpg, .jpeg, .png, .webp, .gif, .bmp) and prompts (.txt, one a file) of the user, in
  // the order of their names; what it lacks comes from the built-in set. Empty: all built in.
  std::filesystem::path folder;
  std::string_view tokenizer_json;  // the text of the checkpoint's tokenizer.json
  std::string before, after;        // around the words of a user's turn, up to the answer
  // Of pictures, in pixels, as the vision graph takes them; 0: texts alone, for bundles without.
  int width = 0, height = 0;
};

// Texts are cut after this many tokens: longer ones cost much and show little more.
inline constexpr std::size_t kMostCalibrationTokens = 256;

// kInvalidArgument if the folder has neither pictures nor texts; errors name the file.
Result<CalibrationSet> make_calibration_set(const hf::ModelConfig& config,
                                            const CalibrationRequest& request);

}  // namespace qhx::forge
