// A bundle's context binaries and the graphs in them.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "manifest/manifest.h"
#include "qnn/backend.h"
#include "qnn/context.h"
#include "runtime/bundle_files.h"
#include "runtime/executor.h"

namespace qhx::runtime {

// Binaries are mapped and their descriptions read when this is created; a context is made from its
// binary when a graph of it is first opened. Executors must not outlive it: they use the mappings.
class QnnGraphs final : public GraphProvider {
 public:
  // Which graph plays which role is the manifest's plan; without one it follows from the roles of
  // the contexts and the graphs' shapes. kUnsupported for binaries made for another backend, chip
  // or by a newer library; kCorrupt if manifest and binaries contradict each other.
  static Result<std::unique_ptr<QnnGraphs>> open(const manifest::Manifest& manifest,
                                                 const BundleFiles& files,
                                                 const qnn::SystemLibrary& system,
                                                 std::shared_ptr<const qnn::Backend> backend);

  std::vector<const qnn::GraphInfo*> infos(Role role) const override;
  Result<std::shared_ptr<GraphExecutor>> open(Role role, std::size_t index) override;

 private:
  struct Binary {
    std::string role;        // of the manifest
    bool emulation = false;  // the file that is there for emulation
    MappedFile file;
    qnn::BinaryInfo info;
    std::shared_ptr<qnn::Context> context;
  };
  struct Place {
    std::size_t binary = 0;
    const qnn::GraphInfo* graph = nullptr;
    std::shared_ptr<GraphExecutor> executor;
  };

  explicit QnnGraphs(std::shared_ptr<const qnn::Backend> backend) : backend_(std::move(backend)) {}
  Status read_binaries(const manifest::Manifest& manifest, const BundleFiles& files,
                       const qnn::SystemLibrary& system);
  Status check_binary(const manifest::Model& model, const Binary& binary) const;
  Status assign_roles(const manifest::Manifest& manifest);
  Status assign_further(const std::string& graph);
  Result<Place> find(std::string_view graph, std::string_view what) const;
  void assign_by_shape();
  void assign(Role role, const Place& place);
  Status load_context(Binary& binary);

  std::shared_ptr<const qnn::Backend> backend_;
  std::vector<std::unique_ptr<Binary>> binaries_;
  std::map<Role, std::vector<Place>> places_;
  std::mutex mutex_;
};

// Whether a binary made by the library of build `made_by` is too new for `running`. Builds look
// like "v2.51.0.…"; anything else is not compared.
bool is_newer_build(std::string_view made_by, std::string_view running);

}  // namespace qhx::runtime
