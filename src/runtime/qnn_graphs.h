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
#include "runtime/binary_check.h"
#include "runtime/bundle_files.h"
#include "runtime/executor.h"
#include "runtime/memory_need.h"

namespace qhx::runtime {

struct LoadOptions {
  int threads = 0;  // of our CPU library; 0: as many as the process may use
  bool allow_arch_mismatch = false;
  bool allow_low_memory = false;
  bool node_times = false;                   // qnn::BackendOptions
  std::optional<AvailableMemory> available;  // unset: what the system tells
};

// Binaries are mapped, their descriptions read and everything that can be refused is refused before
// the library's backend and device are made; a context is made from its binary when a graph of it
// is first opened. Executors must not outlive it: they use the mappings.
class QnnGraphs final : public GraphProvider {
 public:
  // Which graph plays which role is the manifest's plan; without one it follows from the roles of
  // the contexts and the graphs' shapes. kUnsupported for binaries made for another backend, chip
  // or by a newer library; kCorrupt if manifest and binaries contradict each other; kOutOfRange if
  // there is too little memory.
  static Result<std::unique_ptr<QnnGraphs>> open(const manifest::Manifest& manifest,
                                                 const BundleFiles& files,
                                                 const qnn::SystemLibrary& system,
                                                 std::shared_ptr<const qnn::BackendLibrary> library,
                                                 const LoadOptions& options = {});

  // What was let through because the options allow it, a sentence each.
  const std::vector<std::string>& notes() const { return notes_; }

  // Null unless they were asked for and the library tells them.
  qnn::NodeTimes* node_times() const { return backend_->node_times(); }

  std::vector<const qnn::GraphInfo*> infos(Role role) const override;
  Result<std::shared_ptr<GraphExecutor>> open(Role role, std::size_t index) override;
  qnn::TensorMemory memory() const override { return backend_->memory(); }
  std::string identity() const override { return backend_->library().identity(); }
  qnn::PerformanceVote performance_vote() const override { return backend_->performance_vote(); }

 private:
  struct Binary {
    std::string role;         // of the manifest
    std::string file_name;    // of the manifest; in emulation the one that is there for it
    std::string activations;  // of the manifest
    MappedFile file;
    qnn::BinaryInfo info;
    std::shared_ptr<qnn::Context> context;
  };
  struct Place {
    std::size_t binary = 0;
    const qnn::GraphInfo* graph = nullptr;
    std::shared_ptr<GraphExecutor> executor;
  };

  QnnGraphs() = default;
  Status read_binaries(const manifest::Manifest& manifest, const BundleFiles& files,
                       const qnn::SystemLibrary& system, const qnn::BackendLibrary& library);
  // Completes `target` with the chip to emulate, if one is emulated.
  Status check_binaries(const manifest::Manifest& manifest, Target& target,
                        const LoadOptions& options);
  std::uint32_t emulated_soc(const Target& target) const;
  Status check_memory(const LoadOptions& options) const;
  Status assign_roles(const manifest::Manifest& manifest);
  Status assign_further(const std::string& graph);
  Result<Place> find(std::string_view graph, std::string_view what) const;
  void assign_by_shape();
  void assign(Role role, const Place& place);
  Status load_context(Binary& binary);

  std::shared_ptr<const qnn::Backend> backend_;
  std::vector<std::unique_ptr<Binary>> binaries_;
  std::map<Role, std::vector<Place>> places_;
  std::vector<std::string> notes_;
  std::mutex mutex_;
};

}  // namespace qhx::runtime
