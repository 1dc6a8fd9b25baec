// Graphs and contexts as clients use them, without the C of it: built op by op or read from a
// binary, then executed.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "graph/binary_writer.h"
#include "graph/constant.h"
#include "graph/ir.h"
#include "graph/program.h"

namespace qhx::cpu {

class Context;

// Thread-safe. Errors: kInvalidArgument for what the client asks wrongly, others where said.
class ClientGraph {
 public:
  ClientGraph(Context& context, std::string name);  // to be built
  ClientGraph(std::shared_ptr<const Graph> graph,
              std::unique_ptr<Program> program);  // read from a binary

  const std::string& name() const { return name_; }
  bool finalized() const;

  // Adds `tensor`; the values of a static one are copied. Returns its id.
  Result<std::uint32_t> add_tensor(Tensor tensor, std::span<const std::byte> values);
  // The index of the tensor with this id, or -1.
  int find_tensor(std::uint32_t id) const;
  // What a static tensor of the graph holds; null if it is none.
  std::shared_ptr<Constant> constant_of(std::uint32_t id) const;
  // Adds a node over existing tensors. kNotFound if an input has no producer yet.
  Status add_node(Node node);
  // kUnsupported if it is finalized already.
  Status finalize();

  // Of a finalized graph.
  const std::shared_ptr<const Graph>& executable() const { return executable_; }
  Program& program() { return *program_; }

 private:
  Status check_producers(const Node& node) const;

  Context* context_ = nullptr;
  std::string name_;
  mutable std::mutex mutex_;
  Graph building_;
  std::map<std::uint32_t, int> by_id_;
  std::map<std::string, int, std::less<>> by_name_;
  std::vector<bool> produced_;  // by tensor
  bool failed_ = false;
  std::shared_ptr<const Graph> executable_;
  std::unique_ptr<Program> program_;
};

// Thread-safe.
class Context {
 public:
  // What the engine says of activations comes before what the context does.
  Context(std::shared_ptr<Engine> engine, Activations activations);

  // From a binary; with `in_place` the bytes must outlive the context, otherwise they are copied.
  // Errors of read_binary.
  static Result<std::shared_ptr<Context>> from_binary(std::shared_ptr<Engine> engine,
                                                      Activations activations,
                                                      std::span<const std::byte> bytes,
                                                      bool in_place);

  // kInvalidArgument if the name is taken, kUnsupported in a context from a binary.
  Result<std::shared_ptr<ClientGraph>> add_graph(const std::string& name);
  std::shared_ptr<ClientGraph> find_graph(const std::string& name) const;

  // The binary of all graphs. kUnsupported in a context from a binary, or if a graph is not
  // finalized.
  Result<std::shared_ptr<const BinaryImage>> binary(const std::string& build_id);

  Engine& engine() { return *engine_; }
  Activations activations() const { return activations_; }
  const std::shared_ptr<Engine>& shared_engine() { return engine_; }
  BlobStore& blobs() { return blobs_; }
  ConstantPool& constants() { return constants_; }
  std::uint32_t next_tensor_id();

 private:
  std::shared_ptr<Engine> engine_;
  Activations activations_;
  AlignedBuffer copy_;  // of the binary, if it is not used in place
  BlobStore blobs_;
  ConstantPool constants_;
  mutable std::mutex mutex_;
  bool from_binary_ = false;
  std::atomic<std::uint32_t> last_tensor_id_ =
      0;  // not under mutex_: graphs take ids while they are locked
  std::vector<std::shared_ptr<ClientGraph>> graphs_;
  std::shared_ptr<const BinaryImage> image_;
};

}  // namespace qhx::cpu
