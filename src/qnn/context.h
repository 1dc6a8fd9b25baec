// A context (graphs over shared weights) and the graphs in it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/status.h"
#include "qnn/backend.h"
#include "qnn/binary_info.h"
#include "qnn/registered_memory.h"

namespace qhx::qnn {

struct ContextOptions {
  bool share_weights = false;  // HTP: equal static tensors of several graphs are stored once
};

// Shared by its graphs, so it outlives them. Creating graphs in it is for one thread at a time.
class Context {
 public:
  static Result<std::shared_ptr<Context>> create(std::shared_ptr<const Backend> backend,
                                                 const ContextOptions& options = {});
  // `binary` must stay valid and unchanged until the context is gone: libraries that can use it in
  // place do.
  // activations: "int8", "mixed", "wide" or "int16", what our CPU library's linears with integer
  // weights are to multiply (docs/cpu_backend.md); empty: as it chooses. Others are not told.
  static Result<std::shared_ptr<Context>> from_binary(std::shared_ptr<const Backend> backend,
                                                      std::span<const std::byte> binary,
                                                      const std::string& activations = {});
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // The finalized graphs as one binary. Not possible for a context that came from a binary.
  Result<AlignedBuffer> serialize() const;

  const Backend& backend() const { return *backend_; }
  const QnnInterface_ImplementationV2_t& api() const { return backend_->api(); }
  Qnn_ContextHandle_t handle() const { return handle_; }
  RegisteredMemory& registered() { return registered_; }

 private:
  explicit Context(std::shared_ptr<const Backend> backend) : backend_(std::move(backend)) {}
  std::shared_ptr<const Backend> backend_;
  Qnn_ContextHandle_t handle_ = nullptr;
  RegisteredMemory registered_{api(), handle_};
};

// Memory for one execution of one graph: from where each input is read and to where each
// output is written. Move-only, one thread.
class IoBinding {
 public:
  explicit IoBinding(const GraphInfo& info);

  // `bytes` is as large as the tensor and stays valid for the executions that use it. kNotFound for
  // an unknown name, kInvalidArgument with both sizes for a wrong size.
  Status bind_input(std::string_view name, std::span<const std::byte> bytes);
  Status bind_output(std::string_view name, std::span<std::byte> bytes);

  // Names what is not bound yet; success if everything is.
  Status complete() const;

  // Once complete: has the device map the memory, if every tensor's is shared with it and the
  // library can; otherwise the buffers are passed as they are, and the library copies.
  void share(const std::shared_ptr<Context>& context);

 private:
  friend class Graph;
  Status bind(std::vector<Qnn_Tensor_t>& tensors, const std::vector<TensorInfo>& infos,
              std::string_view kind, std::string_view name, std::byte* data, std::size_t size);
  std::unique_ptr<GraphInfo> info_;  // owns the names and dimensions that the tensors point to
  std::vector<Qnn_Tensor_t> inputs_;
  std::vector<Qnn_Tensor_t> outputs_;
  std::shared_ptr<Context> context_;  // of registered_, if there are any
  std::vector<RegisteredMemory::Handle> registered_;
};

// An operation as it was put into a graph.
struct Operation {
  std::string name;    // "Conv2d_17"
  std::string type;    // "Conv2d"
  std::string part;    // of the graph, as its builder called it: "layer 3"
  std::string weight;  // name of the first constant among its inputs; may be empty
};

// A graph that can be executed. Executions of one graph are serialized by the caller.
class Graph {
 public:
  // From a context made from a binary; `info` is what the system library says of it.
  static Result<Graph> retrieve(std::shared_ptr<Context> context, GraphInfo info);
  // After finalizing in this process (GraphBuilder).
  Graph(std::shared_ptr<Context> context, Qnn_GraphHandle_t handle, GraphInfo info,
        std::vector<Operation> operations = {})
      : context_(std::move(context)),
        handle_(handle),
        info_(std::move(info)),
        operations_(std::move(operations)) {}

  const GraphInfo& info() const { return info_; }
  const std::string& name() const { return info_.name; }
  const std::shared_ptr<Context>& context() const { return context_; }
  // In the order in which they were added. Empty for a graph from a binary.
  const std::vector<Operation>& operations() const { return operations_; }

  // Blocks until the outputs are written. The binding must be complete and made from this graph's
  // info.
  Status execute(IoBinding& binding) const;

 private:
  std::shared_ptr<Context> context_;
  Qnn_GraphHandle_t handle_;
  GraphInfo info_;
  std::vector<Operation> operations_;
};

}  // namespace qhx::qnn
