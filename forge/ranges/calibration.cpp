#include "forge/ranges/calibration.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include "base/file.h"
#include "forge/ranges/drawing.h"
#include "forge/ranges/texts.h"
#include "text/tokenizer.h"
#include "vision/image.h"
#include "vision/resize.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;

constexpr std::array kPictureEndings = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp"};
constexpr const char* kPictureQuestion = "Describe this picture in detail.";
constexpr const char* kHeldOutQuestion = "What can be seen here, and where?";

std::string ending_of(const fs::path& file) {
  std::string ending = file.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

struct Files {
  std::vector<fs::path> pictures, texts;
};

Result<Files> list_files(const fs::path& folder) {
  Files files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string ending = ending_of(entry->path());
    if (ending == ".txt") files.texts.push_back(entry->path());
    if (std::find(kPictureEndings.begin(), kPictureEndings.end(), ending) != kPictureEndings.end())
      files.pictures.push_back(entry->path());
  }
  if (error) return not_found("--calibrate " + folder.string() + ": " + error.message());
  if (files.pictures.empty() && files.texts.empty()) {
    return invalid_argument("--calibrate " + folder.string() +
                            ": expected pictures (.jpg, .png, .webp, .gif, .bmp) or prompts "
                            "(.txt), found none");
  }
  std::sort(files.pictures.begin(), files.pictures.end());
  std::sort(files.texts.begin(), files.texts.end());
  return files;
}

// Of a user's files: every fourth is for trials where there are as many, and not for rounding.
std::vector<fs::path> part_of(std::vector<fs::path> files, CalibrationUse use) {
  constexpr std::size_t kEvery = 4;
  if (use == CalibrationUse::kRanges) return files;
  std::vector<fs::path> part;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const bool for_trials = i % kEvery == kEvery - 1;
    if (for_trials == (use == CalibrationUse::kTrial)) part.push_back(std::move(files[i]));
  }
  return part;
}

std::vector<std::string> built_in_texts(CalibrationUse use) {
  std::vector<std::string> texts;
  const auto add = [&](std::span<const char* const> more) {
    texts.insert(texts.end(), more.begin(), more.end());
  };
  if (use == CalibrationUse::kTrial) {
    add(held_out_texts());
    return texts;
  }
  add(short_texts());
  if (use == CalibrationUse::kRounding) add(passages());
  return texts;
}

// Left and right change places.
void mirror(vision::Image& image) {
  const auto width = static_cast<std::size_t>(image.width);
  for (std::size_t row = 0; row < image.pixels(); row += width) {
    for (std::size_t x = 0; x < width / 2; ++x) {
      std::uint8_t* left = image.rgb.data() + (row + x) * 3;
      std::swap_ranges(left, left + 3, image.rgb.data() + (row + width - 1 - x) * 3);
    }
  }
}

class SetMaker {
 public:
  SetMaker(const hf::ModelConfig& config, const CalibrationRequest& request,
           const text::Tokenizer& tokenizer)
      : config_(config), request_(request), tokenizer_(tokenizer) {}

  // The picture, and a prompt that asks about it.
  Status add_picture(const vision::Image& image, std::string_view question) {
    const vision::Image fitted =
        vision::fit_image(image, {request_.width, request_.height}, vision::FitMode::kStretch);
    QHX_ASSIGN_OR_RETURN(reference::PictureInput picture,
                         reference::make_picture_input(config_, fitted));
    std::vector<std::int32_t> tokens = tokenizer_.encode(request_.before);
    tokens.push_back(config_.vision_start_token_id);
    tokens.insert(tokens.end(), picture.grid.patches() / config_.vision.merge_unit(),
                  config_.image_token_id);
    tokens.push_back(config_.vision_end_token_id);
    append_words(question, tokens);
    set_.prompts.push_back({std::move(tokens), set_.pictures.size()});
    set_.pictures.push_back(std::move(picture));
    return {};
  }

  void add_text(std::string_view words) {
    std::vector<std::int32_t> tokens = tokenizer_.encode(request_.before);
    append_words(words, tokens);
    set_.prompts.push_back({std::move(tokens), std::nullopt});
  }

  CalibrationSet take(std::string description) {
    set_.description = std::move(description);
    return std::move(set_);
  }

 private:
  // A picture's own token in the words would ask for a picture that is not there.
  void append_words(std::string_view words, std::vector<std::int32_t>& tokens) const {
    std::vector<std::int32_t> more = tokenizer_.encode(words, /*parse_added_tokens=*/false);
    more.resize(std::min(more.size(), kMostCalibrationTokens));
    tokens.insert(tokens.end(), more.begin(), more.end());
    const std::vector<std::int32_t> after = tokenizer_.encode(request_.after);
    tokens.insert(tokens.end(), after.begin(), after.end());
  }

  const hf::ModelConfig& config_;
  const CalibrationRequest& request_;
  const text::Tokenizer& tokenizer_;
  CalibrationSet set_;
};

std::string counted(std::size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

Result<CalibrationSet> make_calibration_set(const hf::ModelConfig& config,
                                            const CalibrationRequest& request) {
  Files files;
  if (!request.folder.empty()) {
    QHX_ASSIGN_OR_RETURN(files, list_files(request.folder));
  }
  QHX_ASSIGN_OR_RETURN(const text::Tokenizer tokenizer,
                       text::Tokenizer::from_json(request.tokenizer_json, "tokenizer.json"));
  files.pictures = part_of(std::move(files.pictures), request.use);
  files.texts = part_of(std::move(files.texts), request.use);
  std::vector<std::string> texts;
  if (files.texts.empty()) texts = built_in_texts(request.use);
  for (const fs::path& file : files.texts) {
    QHX_ASSIGN_OR_RETURN(std::string text, read_file(file, std::size_t{1} << 20));
    texts.push_back(std::move(text));
  }
  const bool with_pictures = request.width > 0 && request.height > 0;
  SetMaker maker(config, request, tokenizer);
  if (with_pictures && files.pictures.empty()) {
    vision::Image picture = draw_calibration_picture(request.width, request.height);
    const bool held_out = request.use == CalibrationUse::kTrial;
    if (held_out) mirror(picture);
    QHX_RETURN_IF_ERROR(maker.add_picture(picture, held_out ? kHeldOutQuestion : kPictureQuestion));
  }
  for (std::size_t i = 0; with_pictures && i < files.pictures.size(); ++i) {
    QHX_ASSIGN_OR_RETURN(const vision::Image image, vision::read_image(files.pictures[i]));
    // The user's prompts are asked about the user's pictures, in turn.
    QHX_RETURN_IF_ERROR(maker.add_picture(
        image, files.texts.empty() ? std::string_view(kPictureQuestion) : texts[i % texts.size()]));
  }
  for (const std::string& text : texts) maker.add_text(text);
  const auto source = [](std::size_t count) { return count == 0 ? " (built in)" : ""; };
  const std::string of_texts = counted(texts.size(), "text") + source(files.texts.size());
  if (!with_pictures) return maker.take(of_texts);
  return maker.take(counted(std::max<std::size_t>(files.pictures.size(), 1), "picture") +
                    source(files.pictures.size()) + ", " + of_texts);
}

}  // namespace qhx::forge
