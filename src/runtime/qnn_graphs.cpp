#include "runtime/qnn_graphs.h"

#include <vector>

#include "runtime/qnn_executor.h"

namespace qhx::runtime {
namespace {

using manifest::Manifest;
using qnn::GraphInfo;

// The graph that the plan gives a role, as "graph" or "role/graph"; empty if it does not say.
std::string planned_graph(const Manifest& manifest, Role role) {
  const manifest::Plan& plan = manifest.plan;
  switch (role) {
    case Role::kVision:
      return plan.vision;
    case Role::kPrefill:
      return plan.prefill;
    case Role::kDecode:
      return plan.decode;
    case Role::kHead:
      return plan.lmhead;
  }
  return "";
}

// What the steps add to plan.params.
std::string graph_in_steps(const Manifest& manifest, Role role) {
  for (const manifest::Step& step : manifest.plan.steps) {
    if (role == Role::kVision && step.loop.empty() &&
        (step.graph == "vision" || step.graph.starts_with("vision/")))
      return step.graph;
    if (step.loop == name(role)) return step.graph;
    if (role == Role::kHead && step.loop == "decode") return step.head;
  }
  return "";
}

bool is_decoder(const GraphInfo& graph) {
  return graph.input("mask") != nullptr && graph.output("y") != nullptr;
}

// Empty if there is no such input.
std::vector<std::uint32_t> input_dims(const GraphInfo& graph, std::string_view input) {
  const qnn::TensorInfo* tensor = graph.input(input);
  return tensor == nullptr ? std::vector<std::uint32_t>() : tensor->dims;
}

bool takes_one_row(const GraphInfo& graph) {
  const qnn::TensorInfo* x = graph.input("x");
  const qnn::TensorInfo* y = graph.output("y");
  return x != nullptr && y != nullptr && !x->dims.empty() && x->element_count() == x->dims.back();
}

}  // namespace

Result<std::unique_ptr<QnnGraphs>> QnnGraphs::open(
    const Manifest& manifest, const BundleFiles& files, const qnn::SystemLibrary& system,
    std::shared_ptr<const qnn::BackendLibrary> library, const LoadOptions& options) {
  std::unique_ptr<QnnGraphs> graphs(new QnnGraphs);
  QHX_RETURN_IF_ERROR(graphs->read_binaries(manifest, files, system, *library));
  Target target = make_target(*library);
  QHX_RETURN_IF_ERROR(graphs->check_binaries(manifest, target, options));
  QHX_RETURN_IF_ERROR(graphs->assign_roles(manifest));
  QHX_RETURN_IF_ERROR(graphs->check_memory(options));
  qnn::BackendOptions backend;
  backend.threads = options.threads;
  backend.node_times = options.node_times;
  // On a device the chip is what it is.
  if (target.emulation) backend.soc_model = graphs->emulated_soc(target);
  QHX_ASSIGN_OR_RETURN(graphs->backend_, qnn::Backend::create(std::move(library), backend));
  return graphs;
}

Status QnnGraphs::read_binaries(const Manifest& manifest, const BundleFiles& files,
                                const qnn::SystemLibrary& system,
                                const qnn::BackendLibrary& library) {
  if (manifest.artifacts.contexts.empty())
    return unsupported("artifacts.contexts: the manifest names no context binary");
  const auto& twins = manifest.artifacts.emulation;
  for (const auto& [role, on_device] : manifest.artifacts.contexts) {
    const bool twin = library.emulates_device() && twins.contains(role);
    const std::string& file = twin ? twins.at(role) : on_device;
    const std::string key = (twin ? "artifacts.emulation." : "artifacts.contexts.") + role + ".bin";
    auto binary = std::make_unique<Binary>();
    binary->role = role;
    binary->file_name = file;
    if (const auto* record = files.record(file)) binary->activations = record->activations;
    // Emulation loads a binary with a flipped bit without a word, and takes far longer than a hash.
    QHX_ASSIGN_OR_RETURN(binary->file, files.map(file, key, library.emulates_device()));
    const bool for_cpu_library = qnn::is_qhx_cpu_binary(binary->file.bytes());
    if (for_cpu_library && !library.is_qhx_cpu()) {
      return unsupported(file + ": made for the CPU library, not for " + library.path() + "; " +
                         qnn::libraries_to_give(for_cpu_library));
    }
    auto info = qnn::read_binary_info(system, binary->file.bytes());
    if (!info.ok() && library.is_qhx_cpu() && !for_cpu_library && manifest.model.dsp_arch != "cpu")
      return unsupported(file + ": " + library.path() + " cannot read it: not made for the CPU " +
                         "library, or damaged; " + qnn::libraries_to_give(for_cpu_library));
    QHX_ASSIGN_OR_RETURN(binary->info, std::move(info).with_context(file));
    binaries_.push_back(std::move(binary));
  }
  return {};
}

Status QnnGraphs::check_binaries(const Manifest& manifest, Target& target,
                                 const LoadOptions& options) {
  if (target.emulation) target.device = choose_emulated(manifest.model, binaries_[0]->info);
  for (const auto& binary : binaries_) {
    std::vector<std::string> notes;
    QHX_RETURN_IF_ERROR(
        check_binary(manifest.model, binary->info, target, options.allow_arch_mismatch, notes)
            .with_context(binary->file_name));
    for (const std::string& note : notes) notes_.push_back(binary->file_name + ": " + note);
  }
  return {};
}

// The emulation of a chip loads binaries of older archs, not of newer ones.
std::uint32_t QnnGraphs::emulated_soc(const Target& target) const {
  qnn::DeviceInfo newest = target.device;
  for (const auto& binary : binaries_) {
    if (binary->info.soc_model != 0 && binary->info.dsp_arch > newest.dsp_arch)
      newest = {.soc_model = binary->info.soc_model, .dsp_arch = binary->info.dsp_arch};
  }
  return newest.soc_model;
}

Status QnnGraphs::check_memory(const LoadOptions& options) const {
  if (options.allow_low_memory) return {};
  const auto available = options.available ? options.available : available_memory();
  if (!available) return {};
  std::vector<ContextSize> contexts;
  for (const auto& binary : binaries_) contexts.push_back({binary->file.size(), &binary->info});
  return admit(memory_need(contexts), *available);
}

Status QnnGraphs::assign_roles(const Manifest& manifest) {
  bool planned = false;
  for (const Role role : {Role::kVision, Role::kPrefill, Role::kDecode, Role::kHead}) {
    if (role == Role::kVision && !manifest.vision.has_value()) continue;
    std::string graph = planned_graph(manifest, role);
    if (graph.empty()) graph = graph_in_steps(manifest, role);
    if (graph.empty()) continue;
    planned |= role == Role::kDecode;
    QHX_ASSIGN_OR_RETURN(const Place place, find(graph, std::string(name(role)) + " graph"));
    assign(role, place);
  }
  for (const std::string& graph : manifest.plan.graphs) QHX_RETURN_IF_ERROR(assign_further(graph));
  // A plan that names a decode graph and no prefill graph means it.
  if (!planned) assign_by_shape();
  for (const auto& [role, key] : {std::pair{Role::kDecode, "plan.params.decode"},
                                  std::pair{Role::kHead, "plan.params.lmhead"}}) {
    if (!places_.contains(role))
      return unsupported(std::string(key) + ": the manifest names no graph, and none of the " +
                         "contexts has one that can be told by its shape");
  }
  if (manifest.vision.has_value() && !places_.contains(Role::kVision))
    return unsupported("plan.params.vision: the manifest has a vision section but names no graph");
  return {};
}

// The first graph of its shape is the one that is used.
void QnnGraphs::assign(Role role, const Place& place) {
  std::vector<Place>& places = places_[role];
  const bool known = std::any_of(places.begin(), places.end(), [&](const Place& p) {
    return input_dims(*p.graph, "x") == input_dims(*place.graph, "x") &&
           input_dims(*p.graph, "mask") == input_dims(*place.graph, "mask");
  });
  if (!known) places.push_back(place);
}

// One of plan.params.graphs.
Status QnnGraphs::assign_further(const std::string& graph) {
  QHX_ASSIGN_OR_RETURN(const Place place, find(graph, "further graph"));
  if (!is_decoder(*place.graph)) {
    return corrupt("plan.params.graphs: graph " + graph +
                   " is no decoder graph: it has no input mask or no output y");
  }
  assign(takes_one_row(*place.graph) ? Role::kDecode : Role::kPrefill, place);
  return {};
}

// `wanted` is a graph's name, "role/graph", or the role of a context that has one graph.
Result<QnnGraphs::Place> QnnGraphs::find(std::string_view wanted, std::string_view what) const {
  const std::size_t slash = wanted.find('/');
  const std::string_view graph =
      slash == std::string_view::npos ? wanted : wanted.substr(slash + 1);
  const std::string_view context = slash == std::string_view::npos ? "" : wanted.substr(0, slash);
  std::string known;
  for (std::size_t i = 0; i < binaries_.size(); ++i) {
    const Binary& binary = *binaries_[i];
    for (const GraphInfo& info : binary.info.graphs) {
      known += (known.empty() ? "" : ", ") + binary.role + "/" + info.name;
      const bool by_name = info.name == graph && (context.empty() || context == binary.role);
      const bool by_role = binary.role == wanted && binary.info.graphs.size() == 1;
      if (by_name || by_role) return Place{i, &info, nullptr};
    }
  }
  return corrupt("plan: the " + std::string(what) + " \"" + std::string(wanted) +
                 "\" is in none of the context binaries, which have " + known);
}

// Roles that have a graph by name are left alone.
void QnnGraphs::assign_by_shape() {
  const auto offer = [this, named = places_](Role role, std::size_t binary,
                                             const GraphInfo& graph) {
    if (!named.contains(role)) assign(role, {binary, &graph, nullptr});
  };
  for (std::size_t i = 0; i < binaries_.size(); ++i) {
    for (const GraphInfo& graph : binaries_[i]->info.graphs) {
      if (is_decoder(graph)) {
        offer(takes_one_row(graph) ? Role::kDecode : Role::kPrefill, i, graph);
      } else if (binaries_[i]->role == "lmhead" || graph.output("logits") != nullptr) {
        offer(Role::kHead, i, graph);
      } else if (binaries_[i]->role == "vision") {
        offer(Role::kVision, i, graph);
      }
    }
  }
}

std::vector<const GraphInfo*> QnnGraphs::infos(Role role) const {
  std::vector<const GraphInfo*> infos;
  const auto places = places_.find(role);
  if (places == places_.end()) return infos;
  for (const Place& place : places->second) infos.push_back(place.graph);
  return infos;
}

Status QnnGraphs::load_context(Binary& binary) {
  if (binary.context != nullptr) return {};
  QHX_ASSIGN_OR_RETURN(binary.context,
                       qnn::Context::from_binary(backend_, binary.file.bytes(), binary.activations)
                           .with_context("context " + binary.role));
  // Other libraries have copied it.
  if (!backend_->library().is_qhx_cpu()) binary.file.drop_resident();
  return {};
}

Result<std::shared_ptr<GraphExecutor>> QnnGraphs::open(Role role, std::size_t index) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = places_.find(role);
  if (found == places_.end() || index >= found->second.size())
    return not_found("the bundle has no " + std::string(name(role)) + " graph");
  Place& place = found->second[index];
  if (place.executor == nullptr) {
    Binary& binary = *binaries_[place.binary];
    QHX_RETURN_IF_ERROR(load_context(binary));
    QHX_ASSIGN_OR_RETURN(qnn::Graph graph, qnn::Graph::retrieve(binary.context, *place.graph));
    place.executor = std::make_shared<QnnExecutor>(std::move(graph), binary.file);
  }
  return place.executor;
}

}  // namespace qhx::runtime
