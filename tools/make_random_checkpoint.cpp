// make_random_checkpoint: a Hugging Face folder of the family with random weights.
#include <CLI/CLI.hpp>
#include <exception>

#include "base/file.h"
#include "base/thread_pool.h"
#include "program.h"
#include "random_checkpoint.h"

namespace {

using namespace qhx;

struct Arguments {
  std::string folder, preset, config, tokenizer, dtype = "bf16";
  std::uint64_t seed = 1;
  std::size_t shards = 1;
};

Result<nlohmann::json> load_config(const Arguments& arguments) {
  if (!arguments.config.empty()) {
    QHX_ASSIGN_OR_RETURN(const std::string text, read_file(arguments.config));
    auto config = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (config.is_discarded()) return corrupt(arguments.config + ": is not JSON");
    return config;
  }
  QHX_ASSIGN_OR_RETURN(nlohmann::json config, tools::preset_config(arguments.preset));
  if (arguments.preset == "tiny" && !arguments.tokenizer.empty())
    QHX_RETURN_IF_ERROR(tools::adopt_tokenizer(config, arguments.tokenizer));
  return config;
}

Status run(const Arguments& arguments) {
  tools::RandomCheckpoint checkpoint;
  QHX_ASSIGN_OR_RETURN(checkpoint.config, load_config(arguments));
  checkpoint.folder = arguments.folder;
  checkpoint.tokenizer = arguments.tokenizer;
  checkpoint.seed = arguments.seed;
  checkpoint.shards = arguments.shards;
  checkpoint.dtype = arguments.dtype == "f32"   ? DType::kF32
                     : arguments.dtype == "f16" ? DType::kF16
                                                : DType::kBF16;
  ThreadPool pool;
  return tools::write_random_checkpoint(checkpoint, pool);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments a;
  CLI::App program("Writes a checkpoint of the Qwen3-VL family with random weights.");
  program.add_option("folder", a.folder, "Folder to write to")->required();
  auto* preset = program.add_option("--preset", a.preset, "2b, 4b or tiny")
                     ->check(CLI::IsMember({"2b", "4b", "tiny"}));
  auto* config = program.add_option("--config", a.config, "A config.json instead of a preset");
  preset->excludes(config);
  program.add_option("--tokenizer", a.tokenizer,
                     "Folder with tokenizer.json to copy; tiny takes its ids from it");
  program.add_option("--dtype", a.dtype, "bf16, f16 or f32")
      ->check(CLI::IsMember({"bf16", "f16", "f32"}))
      ->capture_default_str();
  program.add_option("--seed", a.seed, "Seed")->capture_default_str();
  program.add_option("--shards", a.shards, "Number of safetensors files")
      ->check(CLI::Range(1, 999))
      ->capture_default_str();
  try {
    program.parse(argc, argv);
    if (a.preset.empty() && a.config.empty()) throw CLI::RequiredError("--preset or --config");
    return tools::report_error(run(a));
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? 0 : static_cast<int>(StatusCode::kInvalidArgument);
  } catch (const std::exception& error) {
    return tools::report_error(internal_error(error.what()));
  }
}
