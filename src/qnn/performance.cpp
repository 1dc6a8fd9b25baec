#include "qnn/performance.h"

#include "base/log.h"
#include "qnn/error.h"
#include "qnn/log.h"

namespace qhx::qnn {
namespace {

constexpr std::uint32_t kFastSleepLatency = 40, kRelaxedSleepLatency = 1000;  // microseconds

// Full speed without scaling by load, or no wish at all.
QnnHtpPerfInfrastructure_PowerConfig_t power_config(std::uint32_t id, bool fast) {
  const auto corner = fast ? DCVS_VOLTAGE_VCORNER_MAX_VOLTAGE_CORNER : DCVS_VOLTAGE_CORNER_DISABLE;
  QnnHtpPerfInfrastructure_PowerConfig_t config{};
  config.option = QNN_HTP_PERF_INFRASTRUCTURE_POWER_CONFIGOPTION_DCVS_V3;
  QnnHtpPerfInfrastructure_DcvsV3_t& dcvs = config.dcvsV3Config;
  dcvs.contextId = id;
  dcvs.setDcvsEnable = 1;
  dcvs.dcvsEnable = fast ? 0 : 1;
  dcvs.powerMode = fast ? QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_PERFORMANCE_MODE
                        : QNN_HTP_PERF_INFRASTRUCTURE_POWERMODE_POWER_SAVER_MODE;
  dcvs.setSleepLatency = 1;
  dcvs.sleepLatency = fast ? kFastSleepLatency : kRelaxedSleepLatency;
  dcvs.setBusParams = 1;
  dcvs.busVoltageCornerMin = dcvs.busVoltageCornerTarget = dcvs.busVoltageCornerMax = corner;
  dcvs.setCoreParams = 1;
  dcvs.coreVoltageCornerMin = dcvs.coreVoltageCornerTarget = dcvs.coreVoltageCornerMax = corner;
  return config;
}

}  // namespace

std::shared_ptr<PerformanceControl> PerformanceControl::create(
    std::shared_ptr<const BackendLibrary> library) {
  if (library->backend_id() != kHtpBackendId) return nullptr;
  const void* found = nullptr;
  const Qnn_ErrorHandle_t code = library->api().deviceGetInfrastructure(&found);
  take_recent_errors();  // to have none is no error
  if (code != QNN_SUCCESS || found == nullptr) return nullptr;
  const auto& infrastructure = *static_cast<const QnnHtpDevice_Infrastructure_t*>(found);
  const QnnHtpDevice_PerfInfrastructure_t& driver = infrastructure.perfInfra;
  if (infrastructure.infraType != QNN_HTP_DEVICE_INFRASTRUCTURE_TYPE_PERF ||
      driver.createPowerConfigId == nullptr || driver.destroyPowerConfigId == nullptr ||
      driver.setPowerConfig == nullptr)
    return nullptr;
  constexpr std::uint32_t kDevice = 0, kCore = 0;
  std::uint32_t id = 0;
  const Status status =
      check(driver.createPowerConfigId(kDevice, kCore, &id), "createPowerConfigId");
  if (!status.ok()) {
    log(LogLevel::kWarn, "no performance votes: " + status.message());
    return nullptr;
  }
  return std::shared_ptr<PerformanceControl>(
      new PerformanceControl(std::move(library), driver, id));
}

PerformanceControl::~PerformanceControl() { driver_.destroyPowerConfigId(id_); }

void PerformanceControl::acquire() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (holders_++ == 0) set(true);
}

void PerformanceControl::release() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (--holders_ == 0) set(false);
}

void PerformanceControl::set(bool fast) {
  const QnnHtpPerfInfrastructure_PowerConfig_t config = power_config(id_, fast);
  const QnnHtpPerfInfrastructure_PowerConfig_t* list[] = {&config, nullptr};
  const Status status = check(driver_.setPowerConfig(id_, list), "setPowerConfig");
  if (!status.ok()) log(LogLevel::kWarn, "performance vote: " + status.message());
}

}  // namespace qhx::qnn
