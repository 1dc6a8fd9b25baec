// A client of the CPU library for tests and benches: opens the shared library, builds graphs
// through the C table, and moves values in and out as floats.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "qnn/abi/qnn_types.h"

namespace qhx::cpu::testing {

using Values = std::vector<float>;
using Dims = std::vector<std::uint32_t>;

// The library, a log that is kept, and a backend. Aborts if the library cannot be opened.
class Client {
 public:
  explicit Client(std::vector<std::string> platform_options = {});
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  static const QnnInterface_ImplementationV2_t& api();
  static const QnnSystemInterface_ImplementationV1_t& system_api();

  Qnn_BackendHandle_t backend() const { return backend_; }
  Qnn_ErrorHandle_t create_error() const { return create_error_; }
  Qnn_LogHandle_t log_handle() const { return log_; }
  // Everything logged since the last call, by all clients.
  static std::string take_log();

  // A context of this backend; freed with the client.
  Qnn_ContextHandle_t new_context();
  Qnn_ErrorHandle_t load(const std::vector<std::byte>& binary, bool in_place,
                         Qnn_ContextHandle_t& context);
  std::vector<std::byte> binary_of(Qnn_ContextHandle_t context) const;

 private:
  Qnn_LogHandle_t log_ = nullptr;
  Qnn_BackendHandle_t backend_ = nullptr;
  Qnn_ErrorHandle_t create_error_ = 0;
  std::vector<Qnn_ContextHandle_t> contexts_;
};

// An int8 weight as [rows, columns] with its encoding.
struct Weight {
  Dims dims;
  std::vector<std::int8_t> values;
  Qnn_QuantizationEncoding_t encoding = QNN_QUANTIZATION_ENCODING_AXIS_SCALE_OFFSET;
  std::int32_t axis = 0;
  std::vector<float> scales;
  std::vector<std::int32_t> offsets;  // empty: all zero
  std::vector<std::uint32_t> block;   // BLOCK: one a dimension
};

struct Param {
  std::string name;
  std::vector<std::int64_t> integers;  // of a tensor parameter, or one of a scalar
  double number = 0;
  enum class Kind { kInteger, kBool, kFloat, kUnsignedList, kSignedList } kind = Kind::kInteger;
  Dims dims;  // of a list; empty: one dimension
};
Param integer(std::string name, std::int64_t value);
Param boolean(std::string name, bool value);
Param number(std::string name, double value);
Param list(std::string name, std::vector<std::int64_t> values, Dims dims = {});
Param signed_list(std::string name, std::vector<std::int64_t> values, Dims dims);

// One graph. Tensors are named by what the builder calls return; errors are kept, the first one
// stands.
class Graph {
 public:
  using Id = std::size_t;
  Graph(Qnn_ContextHandle_t context, const std::string& name);

  Id input(const std::string& name, Dims dims, Qnn_DataType_t type = QNN_DATATYPE_FLOAT_32);
  Id output(const std::string& name, Dims dims, Qnn_DataType_t type = QNN_DATATYPE_FLOAT_32);
  Id native(Dims dims, Qnn_DataType_t type = QNN_DATATYPE_FLOAT_32);
  // Static values of a float type or int32.
  Id constant(Dims dims, const Values& values, Qnn_DataType_t type = QNN_DATATYPE_FLOAT_32);
  Id weight(const Weight& weight);
  Id absent();

  void op(const std::string& type, std::vector<Id> inputs, std::vector<Id> outputs,
          std::vector<Param> params = {});
  // The codes of what op() does, without adding the node, or of adding it alone.
  Qnn_ErrorHandle_t validate(Client& client, const std::string& type, std::vector<Id> inputs,
                             std::vector<Id> outputs, std::vector<Param> params = {});
  Qnn_ErrorHandle_t add(const std::string& type, std::vector<Id> inputs, std::vector<Id> outputs,
                        std::vector<Param> params = {});

  Qnn_ErrorHandle_t finalize();
  Qnn_ErrorHandle_t error() const { return error_; }
  Qnn_GraphHandle_t handle() const { return handle_; }
  Qnn_Tensor_t& tensor(Id id) { return entries_[id].tensor; }

 private:
  struct Entry {
    std::string name;
    Dims dims;
    std::vector<std::byte> bytes;
    std::vector<Qnn_ScaleOffset_t> scale_offsets;
    std::vector<float> scales;
    std::vector<std::int32_t> offsets;
    std::vector<std::uint32_t> block;
    Qnn_Tensor_t tensor{};
  };
  struct Call;
  Entry& new_entry(const std::string& name, Dims dims, Qnn_TensorType_t role, Qnn_DataType_t type);
  Id create(Entry& entry);
  template <typename Use>
  Qnn_ErrorHandle_t with_config(const std::string& type, const std::vector<Id>& inputs,
                                const std::vector<Id>& outputs, const std::vector<Param>& params,
                                Use&& use);

  Qnn_GraphHandle_t handle_ = nullptr;
  Qnn_ErrorHandle_t error_ = 0;
  std::deque<Entry> entries_;
  std::size_t nodes_ = 0;
};

// Executes a graph by the edges that the binary's metadata or the caller knows: values by tensor
// name.
struct Edge {
  std::string name;
  Dims dims;
  Qnn_DataType_t type;
};
class Executor {
 public:
  Executor(Qnn_GraphHandle_t graph, std::vector<Edge> inputs, std::vector<Edge> outputs);

  // Raw bytes of an edge's buffer: floats are converted to and from its type.
  void set(const std::string& name, const Values& values);
  Values get(const std::string& name) const;
  std::vector<std::byte>& bytes(const std::string& name) { return buffers_[name]; }
  Qnn_ErrorHandle_t run(Qnn_ProfileHandle_t profile = nullptr);

 private:
  std::vector<Qnn_Tensor_t> tensors_of(std::vector<Edge>& edges);
  Qnn_GraphHandle_t graph_;
  std::vector<Edge> inputs_, outputs_;
  std::map<std::string, std::vector<std::byte>> buffers_;
};

std::vector<std::byte> to_bytes(const Values& values, Qnn_DataType_t type);
Values from_bytes(const std::vector<std::byte>& bytes, Qnn_DataType_t type);
std::size_t count_of(const Dims& dims);

}  // namespace qhx::cpu::testing
