#include "fakes/toy_bundle.h"

#include <random>

#include "base/f16.h"
#include "base/file.h"
#include "text/test_tokenizer.h"

namespace qhx::fakes {

namespace fs = std::filesystem;

ToyBundle::ToyBundle(ToyOptions options, std::uint32_t picture) : options_(options) {
  options_.vocab = kVocab;
  if (picture > 0) {
    options_.patches = (picture / 4) * (picture / 4);
    options_.patch_width = 3 * 2 * 4 * 4;
    options_.merge = 2;
  }
  std::string pattern = (fs::temp_directory_path() / "qhx-toy-XXXXXX").string();
  folder_ = ::mkdtemp(pattern.data());
  write_tokenizer();
  write_embeddings();
  make_manifest(picture);
}

ToyBundle::~ToyBundle() { fs::remove_all(folder_); }

void ToyBundle::write_tokenizer() {
  nlohmann::json json = text::small_tokenizer_json();
  end = json["added_tokens"][0]["id"];
  std::int32_t next = end + 2;
  for (auto [id, content] : {std::pair{&vision_start, "<|vs|>"}, std::pair{&vision_pad, "<|pad|>"},
                             std::pair{&vision_end, "<|ve|>"}}) {
    *id = next++;
    json["added_tokens"].push_back(
        {{"id", *id}, {"content", content}, {"special", true}, {"normalized", false}});
  }
  QHX_CHECK(write_file(folder_ / "tokenizer.json", json.dump()).ok());
}

void ToyBundle::write_embeddings() {
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<std::uint16_t> table(std::size_t{kVocab} * options_.hidden);
  for (auto& half : table) half = f32_to_f16(uniform(random));
  QHX_CHECK(write_file(folder_ / "embed.bin", std::as_bytes(std::span(table))).ok());
}

void ToyBundle::make_manifest(std::uint32_t picture) {
  manifest_.model.name = "toy";
  manifest_.params.rope_theta = 100;
  manifest_.params.head_dim = options_.head_dim;
  manifest_.params.eos_token_id = {end};
  manifest_.artifacts.embed = "embed.bin";
  manifest_.artifacts.tokenizer = "tokenizer.json";
  manifest_.chat.present = true;
  manifest_.chat.system = {"[s]", "<|end|>"};
  manifest_.chat.user = {"[u]", "<|end|>"};
  manifest_.chat.assistant = {"[a]", "<|end|>"};
  manifest_.chat.vision_start = "<|vs|>";
  manifest_.chat.vision_pad = "<|pad|>";
  manifest_.chat.vision_end = "<|ve|>";
  if (picture == 0) return;
  manifest_.params.image_token_id = vision_pad;
  manifest::Vision vision;
  vision.width = vision.height = picture;
  vision.patch = 4;
  vision.merge = 2;
  vision.temporal = 2;
  manifest_.vision = vision;
}

Result<std::shared_ptr<engine::Engine>> ToyBundle::engine() {
  auto model = std::make_unique<ToyModel>(options_);
  model_ = model.get();
  return engine::Engine::assemble(manifest_, folder_, std::move(model), 1);
}

ToyModel::Head saying(std::vector<std::int32_t> ids) {
  return [ids = std::move(ids), at = std::size_t{0}](const std::vector<float>&,
                                                     std::vector<float>& logits) mutable {
    std::fill(logits.begin(), logits.end(), 0.0f);
    logits[static_cast<std::size_t>(ids[std::min(at++, ids.size() - 1)])] = 1.0f;
  };
}

}  // namespace qhx::fakes
