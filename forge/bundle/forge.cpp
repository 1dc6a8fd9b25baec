#include "forge/bundle/forge.h"

#include <functional>
#include <mutex>
#include <optional>

#include "base/file.h"
#include "base/hash.h"
#include "base/thread_pool.h"
#include "forge/arch/lm_head.h"
#include "forge/arch/text_decoder.h"
#include "forge/arch/vision_encoder.h"
#include "forge/bundle/check.h"
#include "forge/bundle/manifests.h"
#include "forge/bundle/output_folder.h"
#include "forge/bundle/record.h"
#include "forge/bundle/special_tokens.h"
#include "forge/bundle/tables.h"
#include "forge/hf/config.h"
#include "qnn/backend.h"
#include "qnn/context.h"

namespace qhx::forge {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEmbedTensor = "model.language_model.embed_tokens.weight";
// Measured costs, in the time it takes to convert one weight: finalizing and writing it, putting it
// into a table, and a byte's checksum. Only the progress display depends on them.
constexpr double kFinishCost = 1.0;
constexpr double kTableCost = 0.8;
constexpr double kChecksumCost = 0.15;

// Elements of the tensors that each part of the bundle is made of.
struct Sizes {
  double text = 0, vision = 0, head = 0, embed = 0;

  explicit Sizes(const hf::ModelConfig& config) {
    for (const hf::ExpectedTensor& tensor : hf::expected_tensors(config)) {
      double count = 1;
      for (const std::size_t extent : tensor.shape) count *= static_cast<double>(extent);
      if (tensor.name == kEmbedTensor) {
        embed = count;
      } else if (tensor.name != "lm_head.weight") {
        (tensor.name.starts_with("model.visual.") ? vision : text) += count;
      }
    }
    head = embed;
  }
};

std::vector<fs::path> input_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool config = name == "config.json" || name == "generation_config.json" ||
                        name == "preprocessor_config.json" || name == "tokenizer.json" ||
                        name == "model.safetensors.index.json";
    if (config || entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  return files;
}

std::uint64_t total_bytes(const std::vector<fs::path>& files) {
  std::uint64_t bytes = 0;
  for (const fs::path& file : files) {
    std::error_code error;
    const auto size = fs::file_size(file, error);
    if (!error) bytes += size;
  }
  return bytes;
}

// One run. Members are set up by open() in the order in which errors are best found.
class Forge {
 public:
  Forge(const ForgeOptions& options, Work::Report report, const std::atomic<bool>* stop)
      : options_(options), work_(std::move(report), stop), pool_(options.threads) {}

  Result<ForgeReport> run() {
    QHX_RETURN_IF_ERROR(open());
    QHX_RETURN_IF_ERROR(check_disk_space());
    plan_work();
    QHX_ASSIGN_OR_RETURN(OutputFolder folder,
                         OutputFolder::create(options_.output, options_.force));
    QHX_RETURN_IF_ERROR(write_tables(folder.path()));
    QHX_RETURN_IF_ERROR(write_graphs(folder.path()));
    QHX_RETURN_IF_ERROR(write_checksums(folder.path()));
    QHX_RETURN_IF_ERROR(write_manifests(folder.path()));
    ForgeReport report = describe(folder.path());
    QHX_RETURN_IF_ERROR(folder.commit());
    return report;
  }

 private:
  Status open() {
    QHX_RETURN_IF_ERROR(check_output(options_.output, options_.force));
    QHX_ASSIGN_OR_RETURN(config_, hf::load_config(options_.checkpoint));
    QHX_RETURN_IF_ERROR(validate(options_, config_));
    facts_.model = options_.name.empty() ? model_name(config_) : options_.name;
    names_.emplace(facts_.model, options_.image);
    QHX_RETURN_IF_ERROR(read_tokenizer());
    QHX_ASSIGN_OR_RETURN(hf::Checkpoint checkpoint, hf::Checkpoint::open(options_.checkpoint));
    checkpoint_.emplace(std::move(checkpoint));
    QHX_RETURN_IF_ERROR(hf::validate_tensors(config_, *checkpoint_));
    QHX_ASSIGN_OR_RETURN(library_, qnn::BackendLibrary::open(options_.qnn_library));
    QHX_ASSIGN_OR_RETURN(system_, qnn::SystemLibrary::open(options_.system_library));
    facts_.qnn_build = library_->build_id();
    QHX_ASSIGN_OR_RETURN(backend_,
                         qnn::Backend::create(library_, {.soc_model = options_.target.soc_model,
                                                         .threads = options_.threads}));
    return {};
  }

  Status read_tokenizer() {
    QHX_ASSIGN_OR_RETURN(tokenizer_, read_file(options_.checkpoint / "tokenizer.json"));
    QHX_ASSIGN_OR_RETURN(const AddedTokens tokens, AddedTokens::parse(tokenizer_));
    if (tokens.max_id() >= static_cast<std::int64_t>(config_.text.vocab_size)) {
      return corrupt("tokenizer.json: has a token with id " + std::to_string(tokens.max_id()) +
                     ", but config.json: text_config.vocab_size is " +
                     std::to_string(config_.text.vocab_size));
    }
    QHX_ASSIGN_OR_RETURN(facts_.chat, make_chat(tokens, config_));
    QHX_ASSIGN_OR_RETURN(facts_.stop_ids, stop_ids(tokens, config_));
    return {};
  }

  Status check_disk_space() const {
    const Sizes sizes(config_);
    const double each = options_.weights == WeightFormat::kW8 ? 1.0 : 2.0;
    // Graphs with some room for scales and alignment, the f16 table, and the rest.
    const double needed =
        (sizes.text + sizes.vision + sizes.head) * each * 1.1 + sizes.embed * 2 + 64.0 * (1 << 20);
    fs::path place = fs::absolute(options_.output).lexically_normal();
    std::error_code error;
    while (!fs::exists(place, error) && place.has_relative_path()) place = place.parent_path();
    const fs::space_info space = fs::space(place, error);
    if (error || static_cast<double>(space.available) >= needed) return {};
    return io_error(place.string() + ": the bundle needs about " +
                    std::to_string(static_cast<std::uint64_t>(needed / 1e6)) + " MB, but only " +
                    std::to_string(space.available / 1000000) + " MB are free");
  }

  void plan_work() {
    const Sizes sizes(config_);
    inputs_ = input_files(options_.checkpoint);
    work_.plan("tables", sizes.embed * kTableCost);
    work_.plan("vision encoder", sizes.vision * (1 + kFinishCost));
    work_.plan("text decoder", sizes.text * (1 + kFinishCost));
    work_.plan("lm-head", sizes.head * (1 + kFinishCost));
    const double each = options_.weights == WeightFormat::kW8 ? 1.0 : 2.0;
    const double bytes = static_cast<double>(total_bytes(inputs_)) + sizes.embed * 2 +
                         (sizes.text + sizes.vision + sizes.head) * each;
    work_.plan("checksums", bytes * kChecksumCost);
  }

  Status write_tables(const fs::path& folder) {
    QHX_RETURN_IF_ERROR(work_.begin_next());
    QHX_ASSIGN_OR_RETURN(
        facts_.files[names_->embed],
        write_f16_table(*checkpoint_, kEmbedTensor, folder / names_->embed, [&](std::size_t n) {
          return work_.advance(static_cast<double>(n) * kTableCost);
        }));
    const std::string patch = "model.visual.patch_embed.proj";
    QHX_RETURN_IF_ERROR(
        write_f32_table(*checkpoint_, patch + ".weight", folder / names_->patch_embed));
    QHX_RETURN_IF_ERROR(
        write_f32_table(*checkpoint_, patch + ".bias", folder / names_->patch_embed_bias));
    QHX_RETURN_IF_ERROR(
        write_f32_table(*checkpoint_, "model.visual.pos_embed.weight", folder / names_->pos_embed));
    return write_file(folder / names_->tokenizer, tokenizer_);
  }

  Status write_graphs(const fs::path& folder) {
    const WeightLoader weights(
        *checkpoint_, options_.weights, options_.target.activation, pool_,
        [this](std::size_t elements) { return work_.advance(static_cast<double>(elements)); });
    QHX_RETURN_IF_ERROR(write_context(folder / names_->vision, false, [&](const auto& context) {
      return build_vision_encoder(context, config_, weights, patch_grid(options_, config_),
                                  options_.target.htp)
          .status();
    }));
    QHX_RETURN_IF_ERROR(write_context(folder / names_->llm, true, [&](const auto& context) {
      return build_text_decoder(context, config_, weights, text_spec()).status();
    }));
    return write_context(folder / names_->lmhead, false, [&](const auto& context) {
      return build_lm_head(context, config_, weights, options_.target.htp).status();
    });
  }

  TextDecoderSpec text_spec() const {
    const bool deepstack = !config_.vision.deepstack_layers.empty();
    return {.context_rows = options_.context_rows,
            .graphs = {{prefill_name(options_), prefill_rows(options_), deepstack},
                       {kDecodeName, 1, false}},
            .htp = options_.target.htp};
  }

  using Build = std::function<Status(const std::shared_ptr<qnn::Context>&)>;

  // Builds one context in memory and writes its binary; the context is gone before writing.
  Status write_context(const fs::path& file, bool share_weights, const Build& build) {
    QHX_RETURN_IF_ERROR(work_.begin_next());
    AlignedBuffer binary;
    {
      QHX_ASSIGN_OR_RETURN(const std::shared_ptr<qnn::Context> context,
                           qnn::Context::create(backend_, {.share_weights = share_weights}));
      QHX_RETURN_IF_ERROR(build(context).with_context(file.filename().string()));
      QHX_ASSIGN_OR_RETURN(binary, context->serialize().with_context(file.filename().string()));
    }
    return write_file(file, binary.bytes());
  }

  // Of what was read and of what was written, several files at a time.
  Status write_checksums(const fs::path& folder) {
    QHX_RETURN_IF_ERROR(work_.begin_next());
    std::vector<fs::path> files = inputs_;
    for (const auto& entry : fs::directory_iterator(folder)) files.push_back(entry.path());
    std::mutex mutex;
    Status status;
    pool_.run(files.size(), [&](std::size_t i) {
      auto sha256 = sha256_hex_of_file(files[i]);
      const std::lock_guard lock(mutex);
      if (!status.ok()) return;
      if (!sha256.ok()) {
        status = sha256.status();
        return;
      }
      const auto bytes = static_cast<std::uint64_t>(total_bytes({files[i]}));
      const std::string name = files[i].filename().string();
      if (i < inputs_.size()) {
        record_.inputs[name] = {bytes, *sha256};
      } else {
        facts_.files[name].bytes = bytes;
        facts_.files[name].sha256 = *sha256;
      }
      status = work_.advance(static_cast<double>(bytes) * kChecksumCost);
    });
    return status;
  }

  Status write_manifests(const fs::path& folder) {
    const auto write = [&](const std::string& file, const manifest::Manifest& manifest) -> Status {
      QHX_RETURN_IF_ERROR(
          write_file(folder / file, manifest::print_manifest(manifest).dump(2) + "\n"));
      return check_bundle(folder / file, *system_).with_context("checking the finished bundle");
    };
    QHX_RETURN_IF_ERROR(
        write(names_->vlm_manifest, make_vlm_manifest(options_, config_, *names_, facts_)));
    QHX_RETURN_IF_ERROR(
        write(names_->text_manifest, make_text_manifest(options_, config_, *names_, facts_)));
    QHX_RETURN_IF_ERROR(work_.finish());
    record_.stages = work_.times();
    return write_file(folder / names_->record,
                      print_record(options_, facts_.model, *library_, record_));
  }

  ForgeReport describe(const fs::path& folder) const {
    ForgeReport report;
    report.model = facts_.model;
    report.bundle = options_.output;
    report.manifests = {names_->vlm_manifest, names_->text_manifest};
    for (const auto& entry : fs::directory_iterator(folder)) report.bytes += entry.file_size();
    report.stages = work_.times();
    report.peak_resident_bytes = peak_resident_bytes();
    return report;
  }

  const ForgeOptions& options_;
  Work work_;
  ThreadPool pool_;
  hf::ModelConfig config_;
  std::string tokenizer_;  // tokenizer.json
  std::optional<BundleNames> names_;
  std::optional<hf::Checkpoint> checkpoint_;
  std::vector<fs::path> inputs_;
  std::shared_ptr<const qnn::BackendLibrary> library_;
  std::shared_ptr<const qnn::SystemLibrary> system_;
  std::shared_ptr<const qnn::Backend> backend_;
  BundleFacts facts_;
  ForgeRecord record_;
};

}  // namespace

Result<ForgeReport> forge_bundle(const ForgeOptions& options, Work::Report report,
                                 const std::atomic<bool>* stop) {
  return Forge(options, std::move(report), stop).run();
}

}  // namespace qhx::forge
