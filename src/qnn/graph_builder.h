// Builds a graph in a context, operation by operation.
//
// The first error sticks: later calls do nothing, and finalize() returns it. So code that builds a
// graph reads like the graph, without a check on every line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"
#include "qnn/abi/qnn_ops.h"
#include "qnn/context.h"

namespace qhx::qnn {

using Dims = std::vector<std::uint32_t>;

// A tensor of the graph being built: an index into the builder, with what is often asked of it.
struct Value {
  std::uint32_t index = 0;
  Dims dims;
  Qnn_DataType_t type = QNN_DATATYPE_UNDEFINED;
};

// How the integers of a tensor stand for real numbers: scale * (integer + offset). Constants have a
// scale for each output channel, or group, and no offset; what is computed has one of each.
struct Encoding {
  enum class Kind { kNone, kTensor, kPerChannel, kPerChannel4, kGroup4 };
  Kind kind = Kind::kNone;
  std::int32_t axis = 0;          // the output-channel axis (per-channel kinds)
  std::uint32_t group = 0;        // values along K that share a scale (kGroup4)
  std::span<const float> scales;  // per channel: [N]; groups: [N][K / group]
  float scale = 0;                // kTensor
  std::int32_t offset = 0;        // kTensor
};

struct TensorParam {
  Qnn_DataType_t type;
  Dims dims;
  std::vector<std::uint32_t> words;  // u32 or i32 bit patterns
};
struct Param {
  const char* name;
  std::variant<bool, std::uint32_t, std::int32_t, float, TensorParam> value;
};
// u32 values as a tensor of one dimension, as axes, perm, multiples and the like are passed.
Param u32_list(const char* name, std::initializer_list<std::uint32_t> values);
Param u32_list(const char* name, const Dims& values);

// While the library of the HTP finalizes a graph it can simulate an execution on the device. These
// are options of library 2.51's own optimizer and no documented interface: another build may not
// know them, and then writes no file.
struct HtpSimulation {
  std::filesystem::path folder;  // gets trace_file() of each graph, for qnn/simulated_trace
  std::int32_t corner = 9;       // of the clocks of cores and memory, 1 (slowest) to 9

  std::filesystem::path trace_file(const std::string& graph) const {
    return folder / (graph + ".json");
  }
};

struct HtpGraphOptions {
  std::uint32_t optimization = 3;  // O1 to O3
  std::uint32_t vtcm_mb = 8;
  bool dlbc = true;
  std::optional<HtpSimulation> simulation;
};

class GraphBuilder {
 public:
  // `htp` options are given to HTP libraries only.
  static Result<GraphBuilder> create(std::shared_ptr<Context> context, std::string name,
                                     const HtpGraphOptions& htp = {});
  GraphBuilder(GraphBuilder&&) = default;

  Value input(std::string name, Qnn_DataType_t type, Dims dims);
  Value output(std::string name, Qnn_DataType_t type, Dims dims);
  // An intermediate tensor; its name is made up.
  Value native(Qnn_DataType_t type, Dims dims, const Encoding& encoding = {});
  // Weights and tables. `bytes` is needed during this call only: libraries copy it (the HTP
  // library 2.51 and ours do; a test holds them to it).
  Value constant(std::string name, Qnn_DataType_t type, Dims dims, std::span<const std::byte> bytes,
                 const Encoding& encoding = {});

  // What the operations that follow belong to ("layer 3"), for those who measure the graph.
  void part(std::string name) { part_ = std::move(name); }

  // Validates the operation and adds it. Inputs must be produced by earlier operations.
  void add(const char* op_type, std::initializer_list<Value> inputs,
           std::initializer_list<Value> outputs, std::vector<Param> params = {});
  void add(const char* op_type, std::span<const Value> inputs, std::span<const Value> outputs,
           std::vector<Param> params);

  const Status& status() const { return status_; }
  // Marks the graph as failed from outside (a weight that could not be read); the first error
  // stays.
  void fail(Status status);

  // Optimises and prepares the graph. The builder is used up.
  Result<Graph> finalize() &&;

 private:
  GraphBuilder(std::shared_ptr<Context> context, std::string name)
      : context_(std::move(context)), name_(std::move(name)) {}
  Value create_tensor(Qnn_Tensor_t tensor, std::string name, Qnn_DataType_t type, Dims dims,
                      const Encoding& encoding = {});
  Qnn_Param_t make_param(const Param& param, std::vector<std::unique_ptr<TensorParam>>& keep);

  std::shared_ptr<Context> context_;
  std::string name_;
  Qnn_GraphHandle_t handle_ = nullptr;
  Status status_;
  struct Stored;
  std::vector<std::shared_ptr<Stored>> tensors_;
  std::uint32_t next_name_ = 0;
  std::string part_;
  std::vector<Operation> operations_;
};

}  // namespace qhx::qnn
