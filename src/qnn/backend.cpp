#include "qnn/backend.h"

#include <cstdlib>
#include <vector>

#include "qnn/device_info.h"
#include "qnn/error.h"
#include "qnn/log.h"

namespace qhx::qnn {
namespace {

// The error with what to do about it, if the device could not be reached.
Status explain(Status status, const BackendLibrary& library, std::uint32_t soc_model) {
  if (status.ok() || library.backend_id() != kHtpBackendId) return status;
  const std::string hint =
      device_hint(library.emulates_device(), soc_model, std::getenv("ADSP_LIBRARY_PATH"));
  return {status.code(), status.message() + "; " + hint};
}

}  // namespace

Result<std::shared_ptr<const Backend>> Backend::create(
    std::shared_ptr<const BackendLibrary> library, const BackendOptions& options) {
  const std::shared_ptr<Backend> backend(new Backend(std::move(library)));
  const std::string& path = backend->library().path();
  QHX_RETURN_IF_ERROR(backend->create_log().with_context(path));
  QHX_RETURN_IF_ERROR(backend->create_backend(options).with_context(path));
  QHX_RETURN_IF_ERROR(backend->create_device(options).with_context(path));
  if (backend->library().backend_id() == kHtpBackendId) backend->memory_ = TensorMemory::shared();
  if (options.node_times)
    backend->node_times_ = NodeTimes::create(backend->api(), backend->handle());
  backend->performance_ = PerformanceControl::create(backend->library_);
  return std::shared_ptr<const Backend>(backend);
}

Status Backend::create_log() {
  return check(api().logCreate(log_callback, wanted_log_level(), &log_), "logCreate");
}

Status Backend::create_backend(const BackendOptions& options) {
  std::vector<std::string> platform_options;
  if (library_->is_qhx_cpu()) {
    if (options.threads > 0)
      platform_options.push_back("qhx.threads:" + std::to_string(options.threads));
    if (!options.kernel_target.empty())
      platform_options.push_back("qhx.target:" + options.kernel_target);
  }
  std::vector<QnnBackend_Config_t> configs(platform_options.size());
  std::vector<const QnnBackend_Config_t*> list;
  for (std::size_t i = 0; i < configs.size(); ++i) {
    configs[i].option = QNN_BACKEND_CONFIG_OPTION_PLATFORM;
    configs[i].platformOption = platform_options[i].c_str();
    list.push_back(&configs[i]);
  }
  list.push_back(nullptr);
  return explain(check(api().backendCreate(log_, list.data(), &backend_), "backendCreate"),
                 *library_, options.soc_model);
}

Status Backend::create_device(const BackendOptions& options) {
  QnnHtpDevice_CustomConfig_t custom{};
  custom.option = QNN_HTP_DEVICE_CONFIG_OPTION_SOC;
  custom.socModel = options.soc_model;
  QnnDevice_Config_t config{};
  config.option = QNN_DEVICE_CONFIG_OPTION_CUSTOM;
  config.customConfig = &custom;
  const QnnDevice_Config_t* list[] = {&config, nullptr};
  const bool choose_soc = options.soc_model != 0 && !library_->is_qhx_cpu();
  const Qnn_ErrorHandle_t code = api().deviceCreate(log_, choose_soc ? list : nullptr, &device_);
  // A library without devices says so, and runs without one.
  if (code == QNN_COMMON_ERROR_NOT_SUPPORTED && !choose_soc) {
    take_recent_errors();
    return {};
  }
  const std::string what =
      choose_soc ? "deviceCreate for SoC " + std::to_string(options.soc_model) : "deviceCreate";
  return explain(check(code, what), *library_, options.soc_model);
}

Backend::~Backend() {
  performance_ = nullptr;
  node_times_ = nullptr;
  if (device_ != nullptr) api().deviceFree(device_);
  if (backend_ != nullptr) api().backendFree(backend_);
  if (log_ != nullptr) api().logFree(log_);
}

}  // namespace qhx::qnn
