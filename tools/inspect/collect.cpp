#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/mapped_file.h"
#include "inspect/file_facts.h"
#include "inspect/report.h"
#include "inspect/system_libraries.h"
#include "runtime/binary_check.h"

namespace qhx::inspect {
namespace {

namespace fs = std::filesystem;
using manifest::FileRecord;
using manifest::Manifest;

ManifestFacts read_manifest(const fs::path& path) {
  ManifestFacts facts;
  facts.file = path.filename().string();
  auto manifest = manifest::load_manifest(path);
  facts.status = manifest.status();
  if (manifest.ok()) facts.manifest = std::move(*manifest);
  return facts;
}

// All that the manifests record of one file; they may differ.
std::vector<FileRecord> records_of(const Report& report, const std::string& file) {
  std::vector<FileRecord> records;
  for (const ManifestFacts& m : report.manifests) {
    const auto found = m.manifest.artifacts.files.find(file);
    if (found != m.manifest.artifacts.files.end()) records.push_back(found->second);
  }
  return records;
}

std::set<std::string> files_in(const fs::path& folder) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.is_regular_file(error)) names.insert(entry.path().filename().string());
  }
  return names;
}

ContextFacts read_context(const fs::path& path, const std::string& file, SystemLibraries& systems) {
  ContextFacts facts;
  facts.file = file;
  const auto read = [&]() -> Status {
    QHX_ASSIGN_OR_RETURN(const MappedFile mapped, MappedFile::open(path));
    facts.bytes = mapped.size();
    QHX_ASSIGN_OR_RETURN(const auto system, systems.for_binary(mapped.bytes()));
    QHX_ASSIGN_OR_RETURN(facts.info, qnn::read_binary_info(*system, mapped.bytes()));
    return {};
  };
  facts.status = read().with_context(file);
  for (const qnn::GraphInfo& graph : facts.info.graphs)
    facts.kv_bytes_per_token =
        std::max(facts.kv_bytes_per_token, runtime::kv_bytes_per_token(graph));
  return facts;
}

const ContextFacts* find(const Report& report, const std::string& file) {
  for (const ContextFacts& context : report.contexts) {
    if (context.file == file) return &context;
  }
  return nullptr;
}

void add_need(Report& report, ManifestFacts& m) {
  std::map<std::string, runtime::ContextSize> contexts;  // two roles may share a file
  for (const auto& [role, file] : m.manifest.artifacts.contexts) {
    const ContextFacts* context = find(report, file);
    if (context == nullptr || !context->status.ok()) return;
    contexts[file] = {context->bytes, &context->info};
    m.kv_bytes_per_token = std::max(m.kv_bytes_per_token, context->kv_bytes_per_token);
  }
  std::vector<runtime::ContextSize> sizes;
  for (const auto& [file, size] : contexts) sizes.push_back(size);
  m.memory = runtime::memory_need(sizes);
}

// Asks the library about each context, as the runtime would before loading it.
void ask(ContextFacts& context, const manifest::Model& model, runtime::Target target,
         const qnn::BinaryInfo& first) {
  if (!context.status.ok() || !context.accepted.value_or(Status()).ok()) return;
  if (target.emulation) target.device = runtime::choose_emulated(model, first);
  std::vector<std::string> notes;
  context.accepted =
      runtime::check_binary(model, context.info, target, false, notes).with_context(context.file);
}

Status ask_library(Report& report, const std::string& path) {
  QHX_ASSIGN_OR_RETURN(const auto library, qnn::BackendLibrary::open(path));
  report.library = LibraryFacts{path, library->provider(), library->build_id(),
                                qnn::to_string(library->api_version().coreApiVersion),
                                library->emulates_device()};
  const runtime::Target target = runtime::make_target(*library);
  for (ContextFacts& context : report.contexts) {
    if (!report.is_bundle) ask(context, {}, target, context.info);
    for (const ManifestFacts& m : report.manifests) {
      std::map<std::string, std::string> loaded = m.manifest.artifacts.contexts;
      for (const auto& [role, file] : m.manifest.artifacts.emulation) {
        if (target.emulation) loaded[role] = file;
      }
      const auto is_it = [&](const auto& item) { return item.second == context.file; };
      if (std::none_of(loaded.begin(), loaded.end(), is_it)) continue;
      const ContextFacts* first = find(report, loaded.begin()->second);
      ask(context, m.manifest.model, target, first != nullptr ? first->info : context.info);
    }
  }
  return {};
}

struct Roles {
  std::set<std::string> names;
  bool for_emulation = false;
};

// By file.
std::map<std::string, Roles> find_contexts(const Report& report) {
  std::map<std::string, Roles> found;
  for (const ManifestFacts& m : report.manifests) {
    for (const auto& [role, file] : m.manifest.artifacts.contexts) found[file].names.insert(role);
    for (const auto& [role, file] : m.manifest.artifacts.emulation) {
      found[file].names.insert(role);
      found[file].for_emulation = true;
    }
  }
  return found;
}

Status collect_bundle(Report& report, const Options& options, SystemLibraries& systems) {
  std::error_code error;
  const bool one_manifest = !fs::is_directory(options.path, error);
  fs::path folder = one_manifest ? options.path.parent_path() : options.path;
  if (folder.empty()) folder = ".";
  std::set<std::string> names = files_in(folder);
  std::vector<fs::path> manifests = {options.path};
  if (!one_manifest) {
    QHX_ASSIGN_OR_RETURN(manifests, manifest::manifests_in(folder));
  }
  for (const fs::path& path : manifests) report.manifests.push_back(read_manifest(path));
  std::set<std::string> named;
  for (const ManifestFacts& m : report.manifests) {
    for (const auto& [key, file] : manifest::named_files(m.manifest.artifacts)) named.insert(file);
    for (const auto& [role, file] : m.manifest.artifacts.emulation) {
      if (names.contains(file)) named.insert(file);  // a device does without
    }
  }
  const std::map<std::string, Roles> contexts = find_contexts(report);
  names.insert(named.begin(), named.end());
  for (const std::string& name : names) {
    FileFacts& file =
        report.files.emplace_back(look_at(folder, name, records_of(report, name), options.check));
    file.named = named.contains(name);
    for (const ManifestFacts& m : report.manifests) file.is_manifest |= m.file == name;
    const auto context = contexts.find(name);
    if (context == contexts.end()) continue;
    ContextFacts facts;
    facts.file = name;
    // A file that is missing or of the wrong size is not given to a library.
    if (file.status.ok() || file.hash == Match::kDifferent)
      facts = read_context(*path_inside(folder, name), name, systems);
    else
      facts.status = file.status;
    facts.roles.assign(context->second.names.begin(), context->second.names.end());
    facts.for_emulation = context->second.for_emulation;
    report.contexts.push_back(std::move(facts));
  }
  for (ManifestFacts& m : report.manifests) add_need(report, m);
  return {};
}

Status collect_binary(Report& report, const Options& options, SystemLibraries& systems) {
  const std::string name = options.path.filename().string();
  report.contexts.push_back(read_context(options.path, name, systems));
  const ContextFacts& context = report.contexts.back();
  QHX_RETURN_IF_ERROR(context.status);
  const runtime::ContextSize size{context.bytes, &context.info};
  report.memory = runtime::memory_need({&size, 1});
  FileFacts file;
  file.file = name;
  file.bytes = context.bytes;
  report.files.push_back(file);
  return {};
}

}  // namespace

Result<Report> collect(const Options& options) {
  Report report;
  report.path = options.path;
  report.available = available_memory();
  SystemLibraries systems(options.system_library, options.cpu_library, options.backend_library);
  std::error_code error;
  if (!fs::exists(options.path, error))
    return not_found(options.path.string() + ": no such file or folder");
  report.is_bundle = fs::is_directory(options.path, error) || options.path.extension() == ".json";
  QHX_RETURN_IF_ERROR(report.is_bundle ? collect_bundle(report, options, systems)
                                       : collect_binary(report, options, systems));
  if (!options.backend_library.empty())
    QHX_RETURN_IF_ERROR(ask_library(report, options.backend_library));
  return report;
}

Status verdict(const Report& report) {
  for (const ManifestFacts& m : report.manifests) QHX_RETURN_IF_ERROR(m.status);
  for (const FileFacts& file : report.files) QHX_RETURN_IF_ERROR(file.status);
  for (const ContextFacts& context : report.contexts) {
    QHX_RETURN_IF_ERROR(context.status);
    QHX_RETURN_IF_ERROR(context.accepted.value_or(Status()));
  }
  return {};
}

}  // namespace qhx::inspect
