#include "qnn/context.h"

#include "base/log.h"
#include "qnn/error.h"

namespace qhx::qnn {
namespace {

Qnn_Tensor_t make_tensor(TensorInfo& info, Qnn_TensorType_t type) {
  Qnn_Tensor_t tensor{};
  tensor.version = QNN_TENSOR_VERSION_1;
  tensor.v1.id = info.id;
  tensor.v1.name = info.name.c_str();
  tensor.v1.type = type;
  tensor.v1.dataFormat = QNN_TENSOR_DATA_FORMAT_DENSE;
  tensor.v1.dataType = info.type;
  tensor.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_UNDEFINED;
  tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_UNDEFINED;
  if (info.quantized) {
    tensor.v1.quantizeParams.encodingDefinition = QNN_DEFINITION_DEFINED;
    tensor.v1.quantizeParams.quantizationEncoding = QNN_QUANTIZATION_ENCODING_SCALE_OFFSET;
    tensor.v1.quantizeParams.scaleOffsetEncoding = {info.scale, info.offset};
  }
  tensor.v1.rank = static_cast<std::uint32_t>(info.dims.size());
  tensor.v1.dimensions = info.dims.data();
  tensor.v1.memType = QNN_TENSORMEMTYPE_RAW;
  return tensor;
}

}  // namespace

Result<std::shared_ptr<Context>> Context::create(std::shared_ptr<const Backend> backend,
                                                 const ContextOptions& options) {
  const std::shared_ptr<Context> context(new Context(std::move(backend)));
  QnnHtpContext_CustomConfig_t custom{};
  custom.option = QNN_HTP_CONTEXT_CONFIG_OPTION_WEIGHT_SHARING_ENABLED;
  custom.weightSharingEnabled = true;
  QnnContext_Config_t config{};
  config.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
  config.customConfig = &custom;
  const QnnContext_Config_t* list[] = {&config, nullptr};
  // Our CPU library always shares.
  const bool ask = options.share_weights && !context->backend().library().is_qhx_cpu();
  QHX_RETURN_IF_ERROR(
      check(context->api().contextCreate(context->backend().handle(), context->backend().device(),
                                         ask ? list : nullptr, &context->handle_),
            "contextCreate"));
  return context;
}

Result<std::shared_ptr<Context>> Context::from_binary(std::shared_ptr<const Backend> backend,
                                                      std::span<const std::byte> binary,
                                                      const std::string& activations) {
  const std::shared_ptr<Context> context(new Context(std::move(backend)));
  QnnContext_Config_t persistent{};
  persistent.option = QNN_CONTEXT_CONFIG_PERSISTENT_BINARY;
  persistent.isPersistentBinary = 1;
  std::string form = "qhx.activations:" + activations;
  QnnContext_Config_t custom{};
  custom.option = QNN_CONTEXT_CONFIG_OPTION_CUSTOM;
  custom.customConfig = form.data();
  const QnnContext_Config_t* list[] = {&persistent, activations.empty() ? nullptr : &custom,
                                       nullptr};
  const bool in_place = context->backend().library().is_qhx_cpu();
  const Qnn_ErrorHandle_t code = context->api().contextCreateFromBinary(
      context->backend().handle(), context->backend().device(), in_place ? list : nullptr,
      binary.data(), binary.size(), &context->handle_, nullptr);
  QHX_RETURN_IF_ERROR(check(code, "loading the context binary"));
  return context;
}

Context::~Context() {
  if (handle_ != nullptr) api().contextFree(handle_, nullptr);
}

Result<AlignedBuffer> Context::serialize() const {
  Qnn_ContextBinarySize_t size = 0, written = 0;
  QHX_RETURN_IF_ERROR(check(api().contextGetBinarySize(handle_, &size), "contextGetBinarySize"));
  AlignedBuffer buffer(size);
  QHX_RETURN_IF_ERROR(
      check(api().contextGetBinary(handle_, buffer.data(), size, &written), "contextGetBinary"));
  if (written > size) return backend_error("contextGetBinary: wrote more than it announced");
  if (written == size) return buffer;
  AlignedBuffer exact(written);
  std::memcpy(exact.data(), buffer.data(), written);
  return exact;
}

IoBinding::IoBinding(const GraphInfo& info) : info_(std::make_unique<GraphInfo>(info)) {
  for (TensorInfo& tensor : info_->inputs)
    inputs_.push_back(make_tensor(tensor, QNN_TENSOR_TYPE_APP_WRITE));
  for (TensorInfo& tensor : info_->outputs)
    outputs_.push_back(make_tensor(tensor, QNN_TENSOR_TYPE_APP_READ));
}

Status IoBinding::bind(std::vector<Qnn_Tensor_t>& tensors, const std::vector<TensorInfo>& infos,
                       std::string_view kind, std::string_view name, std::byte* data,
                       std::size_t size) {
  for (std::size_t i = 0; i < infos.size(); ++i) {
    if (infos[i].name != name) continue;
    if (infos[i].size_bytes() != size) {
      return invalid_argument("graph " + info_->name + ": " + std::string(kind) + " " +
                              std::string(name) + ": expected " +
                              std::to_string(infos[i].size_bytes()) + " bytes, found " +
                              std::to_string(size));
    }
    tensors[i].v1.clientBuf = {data, static_cast<std::uint32_t>(size)};
    return {};
  }
  return not_found("graph " + info_->name + ": has no " + std::string(kind) + " named " +
                   std::string(name));
}

Status IoBinding::bind_input(std::string_view name, std::span<const std::byte> bytes) {
  // The interface has one buffer type; inputs are only read.
  return bind(inputs_, info_->inputs, "input", name, const_cast<std::byte*>(bytes.data()),
              bytes.size());
}

Status IoBinding::bind_output(std::string_view name, std::span<std::byte> bytes) {
  return bind(outputs_, info_->outputs, "output", name, bytes.data(), bytes.size());
}

Status IoBinding::complete() const {
  std::string missing;
  for (const auto* tensors : {&inputs_, &outputs_}) {
    for (const Qnn_Tensor_t& tensor : *tensors) {
      if (tensor.v1.clientBuf.data == nullptr) missing += " " + std::string(tensor.v1.name);
    }
  }
  if (missing.empty()) return {};
  return unsupported("graph " + info_->name + ": nothing is bound to:" + missing);
}

void IoBinding::share(const std::shared_ptr<Context>& context) {
  const TensorMemory& memory = context->backend().memory();
  if (!memory.is_shared()) return;
  std::vector<RegisteredMemory::Handle> handles;
  for (const auto& [tensors, infos] :
       {std::pair(&inputs_, &info_->inputs), std::pair(&outputs_, &info_->outputs)}) {
    for (std::size_t i = 0; i < tensors->size(); ++i) {
      const auto* data = static_cast<const std::byte*>((*tensors)[i].v1.clientBuf.data);
      const int fd = memory.descriptor(data);
      if (fd < 0) return;
      auto handle = context->registered().add((*infos)[i], data, fd);
      if (!handle.ok()) {
        if (handle.status().code() != StatusCode::kUnsupported)
          log(LogLevel::kWarn, "graph " + info_->name + ": its tensors are copied at every call: " +
                                   handle.status().message());
        return;
      }
      handles.push_back(*std::move(handle));
    }
  }
  for (std::size_t i = 0; i < handles.size(); ++i) {
    Qnn_TensorV1_t& tensor = (i < inputs_.size() ? inputs_[i] : outputs_[i - inputs_.size()]).v1;
    tensor.memType = QNN_TENSORMEMTYPE_MEMHANDLE;
    tensor.memHandle = handles[i].get();
  }
  context_ = context;
  registered_ = std::move(handles);
}

Result<Graph> Graph::retrieve(std::shared_ptr<Context> context, GraphInfo info) {
  Qnn_GraphHandle_t handle = nullptr;
  QHX_RETURN_IF_ERROR(
      check(context->api().graphRetrieve(context->handle(), info.name.c_str(), &handle),
            "graph " + info.name));
  return Graph(std::move(context), handle, std::move(info));
}

Status Graph::execute(IoBinding& binding) const {
  NodeTimes* const times = context_->backend().node_times();
  const Qnn_ErrorHandle_t code = context_->api().graphExecute(
      handle_, binding.inputs_.data(), static_cast<std::uint32_t>(binding.inputs_.size()),
      binding.outputs_.data(), static_cast<std::uint32_t>(binding.outputs_.size()),
      times != nullptr ? times->profile() : nullptr, nullptr);
  if (code == QNN_SUCCESS) {
    if (times != nullptr) times->collect(info_.name);
    return {};
  }
  return check(code, "executing graph " + info_.name);
}

}  // namespace qhx::qnn
