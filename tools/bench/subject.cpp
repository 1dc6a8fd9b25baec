#include "bench/subject.h"

#include <cstdio>

#include "base/log.h"

namespace qhx::bench {

namespace fs = std::filesystem;

Result<Subject> open_subject(const Options& options) {
  std::error_code error;
  if (!fs::exists(options.path, error))
    return not_found(options.path.string() + ": no such bundle or manifest");
  Subject subject;
  QHX_ASSIGN_OR_RETURN(subject.bundle, tools::open_bundle(options.path, ""));
  const tools::Bundle& bundle = subject.bundle;
  QHX_ASSIGN_OR_RETURN(subject.libraries,
                       qnn::complete_libraries({options.backend_library, options.system_library},
                                               !bundle.for_cpu(), options.cpu_library));
  QHX_ASSIGN_OR_RETURN(subject.library, qnn::BackendLibrary::open(subject.libraries.backend));
  subject.options.manifest = bundle.manifest_path.string();
  subject.options.folder = bundle.folder.string();
  subject.options.backend_library = subject.libraries.backend;
  subject.options.system_library = subject.libraries.system;
  subject.options.threads = options.threads;
  subject.options.allow_arch_mismatch = options.allow_arch_mismatch;
  subject.options.allow_low_memory = options.allow_low_memory;
  const manifest::Artifacts& artifacts = bundle.manifest.artifacts;
  const runtime::BundleFiles files(bundle.folder, artifacts);
  QHX_RETURN_IF_ERROR(runtime::BundleFiles::check_all(files, artifacts));
  std::vector<std::string> names = {artifacts.embed, artifacts.tokenizer, artifacts.patch_embed,
                                    artifacts.patch_embed_bias, artifacts.pos_embed};
  for (const auto& [role, name] : artifacts.contexts) names.push_back(name);
  for (const std::string& name : names) {
    if (name.empty()) continue;
    QHX_ASSIGN_OR_RETURN(fs::path path, files.find(name, "artifacts"));
    subject.files.push_back(std::move(path));
  }
  return subject;
}

Result<ObservedEngine> load_observed(const Subject& subject) {
  ObservedEngine observed;
  const tools::Bundle& bundle = subject.bundle;
  observed.files = std::make_unique<runtime::BundleFiles>(bundle.folder, bundle.manifest.artifacts);
  QHX_ASSIGN_OR_RETURN(const auto system, qnn::SystemLibrary::open(subject.libraries.system));
  const runtime::LoadOptions load = {.threads = subject.options.threads,
                                     .allow_arch_mismatch = subject.options.allow_arch_mismatch,
                                     .allow_low_memory = subject.options.allow_low_memory,
                                     .node_times = true};
  QHX_ASSIGN_OR_RETURN(auto graphs, runtime::QnnGraphs::open(bundle.manifest, *observed.files,
                                                             *system, subject.library, load));
  observed.graphs = graphs.get();
  auto wrapped = std::make_unique<ObservedGraphs>(std::move(graphs), *observed.times);
  QHX_ASSIGN_OR_RETURN(observed.engine,
                       engine::Engine::assemble(bundle.manifest, bundle.folder, std::move(wrapped),
                                                subject.options.threads));
  return observed;
}

std::shared_ptr<const std::string> watch_kernel_target() {
  const auto target = std::make_shared<std::string>();
  set_log_sink(
      [target](LogLevel level, std::string_view message) {
        constexpr std::string_view kBefore = "CPU backend: target ";
        if (level != LogLevel::kInfo) {
          std::fprintf(stderr, "%s: %s\n", std::string(name(level)).c_str(),
                       std::string(message).c_str());
        } else if (const std::size_t at = message.find(kBefore); at != message.npos) {
          const std::string_view rest = message.substr(at + kBefore.size());
          *target = rest.substr(0, rest.find(','));
        }
      },
      LogLevel::kInfo);
  return target;
}

}  // namespace qhx::bench
