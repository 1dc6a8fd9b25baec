#include "graph/context.h"

#include <algorithm>
#include <cstring>

#include "graph/binary_reader.h"
#include "graph/rewrite.h"
#include "graph/verify.h"
#include "kernels/quantized_rows.h"

namespace qhx::cpu {

// ---- ClientGraph ----

ClientGraph::ClientGraph(Context& context, std::string name)
    : context_(&context), name_(std::move(name)) {
  building_.name = name_;
}

ClientGraph::ClientGraph(std::shared_ptr<const Graph> graph, std::unique_ptr<Program> program)
    : name_(graph->name), executable_(std::move(graph)), program_(std::move(program)) {}

bool ClientGraph::finalized() const {
  const std::lock_guard lock(mutex_);
  return program_ != nullptr;
}

Result<std::uint32_t> ClientGraph::add_tensor(Tensor tensor, std::span<const std::byte> values) {
  const std::lock_guard lock(mutex_);
  if (program_ != nullptr) return unsupported("graph '" + name_ + "' is finalized");
  const std::string what = "graph '" + name_ + "': tensor '" + tensor.name + "'";
  QHX_RETURN_IF_ERROR(check_dims(tensor.dims, tensor.dtype, what));
  if (by_name_.contains(tensor.name)) return invalid_argument(what + ": the name is used already");
  if (tensor.is_static()) {
    if (values.size() != tensor.size_bytes()) {
      return invalid_argument(what + ": expected " + std::to_string(tensor.size_bytes()) +
                              " bytes of values, found " + std::to_string(values.size()));
    }
    tensor.constant =
        context_->constants().add(tensor.dtype, tensor.dims, tensor.quantization, values);
  }
  tensor.id = context_->next_tensor_id();
  const auto index = static_cast<int>(building_.tensors.size());
  by_id_[tensor.id] = index;
  by_name_[tensor.name] = index;
  if (tensor.role == Role::kInput) building_.inputs.push_back(index);
  if (tensor.role == Role::kOutput) building_.outputs.push_back(index);
  produced_.push_back(tensor.is_static() || tensor.role == Role::kInput);
  building_.tensors.push_back(std::move(tensor));
  return building_.tensors.back().id;
}

int ClientGraph::find_tensor(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? -1 : it->second;
}

std::shared_ptr<Constant> ClientGraph::constant_of(std::uint32_t id) const {
  const std::lock_guard lock(mutex_);
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr
                            : building_.tensors[static_cast<std::size_t>(it->second)].constant;
}

Status ClientGraph::check_producers(const Node& node) const {
  for (const int input : node.inputs) {
    if (input >= 0 && !produced_[static_cast<std::size_t>(input)]) {
      return not_found("node '" + node.name + "': input '" +
                       building_.tensors[static_cast<std::size_t>(input)].name +
                       "' has no producer yet: add nodes in the order of their data");
    }
  }
  for (const int output : node.outputs) {
    const Tensor& tensor = building_.tensors[static_cast<std::size_t>(output)];
    if (produced_[static_cast<std::size_t>(output)]) {
      return invalid_argument("node '" + node.name + "': output '" + tensor.name +
                              "' is produced already, or is an input or static tensor");
    }
  }
  return {};
}

Status ClientGraph::add_node(Node node) {
  const std::lock_guard lock(mutex_);
  if (program_ != nullptr) return unsupported("graph '" + name_ + "' is finalized");
  for (const Node& known : building_.nodes) {
    if (known.name == node.name)
      return invalid_argument("node '" + node.name + "': the name is used already");
  }
  QHX_RETURN_IF_ERROR(check_producers(node));
  const OpDefinition* definition = find_op(node.type);
  if (definition == nullptr || is_internal(node.type)) {
    return invalid_argument("node '" + node.name + "': unknown operation '" + node.type + "'");
  }
  QHX_RETURN_IF_ERROR(definition->check(view_of(building_, node)));
  for (const int output : node.outputs) produced_[static_cast<std::size_t>(output)] = true;
  building_.nodes.push_back(std::move(node));
  return {};
}

Status ClientGraph::finalize() {
  const std::lock_guard lock(mutex_);
  if (program_ != nullptr) return unsupported("graph '" + name_ + "' is finalized already");
  if (building_.outputs.empty()) return invalid_argument("graph '" + name_ + "' has no output");
  for (const int output : building_.outputs) {
    if (!produced_[static_cast<std::size_t>(output)]) {
      return invalid_argument("graph '" + name_ + "': no node produces the output '" +
                              building_.tensors[static_cast<std::size_t>(output)].name + "'");
    }
  }
  if (failed_) return invalid_argument("graph '" + name_ + "': an earlier finalize failed");
  failed_ = true;  // until the end: a graph that is rewritten half cannot be finalized again
  Engine& engine = context_->engine();
  QHX_RETURN_IF_ERROR(rewrite(building_, engine.fuse, {context_->blobs(), engine.pool}));
  auto graph = std::make_shared<const Graph>(std::move(building_));
  QHX_ASSIGN_OR_RETURN(program_,
                       Program::create(graph, context_->shared_engine(), context_->activations()));
  executable_ = std::move(graph);
  failed_ = false;
  return {};
}

// ---- Context ----

namespace {

// Whether a graph has weights that are multiplied as integers.
bool has_integers(const Graph& graph) {
  return std::any_of(graph.tensors.begin(), graph.tensors.end(), [](const Tensor& tensor) {
    return tensor.packed && has_integer_form(tensor.packed->type, tensor.packed->group);
  });
}

Activations resolve(const Engine& engine, Activations wanted) {
  if (engine.activations != Activations::kAuto) return engine.activations;
  // Whoever found 8 bits to be enough had 8 of them.
  const bool bytes =
      wanted == Activations::kInt8 || wanted == Activations::kMixed || wanted == Activations::kWide;
  return bytes && engine.kernels->piece_bits < 8 ? Activations::kAuto : wanted;
}

}  // namespace

Context::Context(std::shared_ptr<Engine> engine, Activations activations)
    : engine_(std::move(engine)), activations_(resolve(*engine_, activations)) {}

Result<std::shared_ptr<Context>> Context::from_binary(std::shared_ptr<Engine> engine,
                                                      Activations activations,
                                                      std::span<const std::byte> bytes,
                                                      bool in_place) {
  auto context = std::make_shared<Context>(std::move(engine), activations);
  context->from_binary_ = true;
  const bool aligned =
      reinterpret_cast<std::uintptr_t>(bytes.data()) % AlignedBuffer::kAlignment == 0;
  if (!in_place || !aligned) {
    context->copy_ = AlignedBuffer(bytes.size());
    std::memcpy(context->copy_.data(), bytes.data(), bytes.size());
    bytes = context->copy_.bytes();
  }
  QHX_ASSIGN_OR_RETURN(const BinaryContents contents, read_binary(bytes));
  for (const auto& graph : contents.graphs) {
    // Where there are none, what was said of them says nothing of attention either.
    const Activations form =
        has_integers(*graph) ? context->activations_ : context->engine_->activations;
    QHX_ASSIGN_OR_RETURN(auto program, Program::create(graph, context->engine_, form));
    context->graphs_.push_back(std::make_shared<ClientGraph>(graph, std::move(program)));
  }
  return context;
}

Result<std::shared_ptr<ClientGraph>> Context::add_graph(const std::string& name) {
  const std::lock_guard lock(mutex_);
  if (from_binary_) return unsupported("a context made from a binary takes no new graphs");
  for (const auto& graph : graphs_) {
    if (graph->name() == name)
      return invalid_argument("the context has a graph '" + name + "' already");
  }
  graphs_.push_back(std::make_shared<ClientGraph>(*this, name));
  image_.reset();
  return graphs_.back();
}

std::shared_ptr<ClientGraph> Context::find_graph(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  for (const auto& graph : graphs_) {
    if (graph->name() == name) return graph;
  }
  return nullptr;
}

Result<std::shared_ptr<const BinaryImage>> Context::binary(const std::string& build_id) {
  const std::lock_guard lock(mutex_);
  if (from_binary_)
    return unsupported("a context made from a binary is not serialized again: keep the binary");
  if (image_ != nullptr) return image_;
  if (graphs_.empty()) return unsupported("the context has no graph");
  std::vector<std::shared_ptr<const Graph>> executables;
  for (const auto& graph : graphs_) {
    if (!graph->finalized()) return unsupported("graph '" + graph->name() + "' is not finalized");
    executables.push_back(graph->executable());
  }
  image_ = std::make_shared<const BinaryImage>(executables, build_id);
  return image_;
}

std::uint32_t Context::next_tensor_id() { return ++last_tensor_id_; }

}  // namespace qhx::cpu
