// The two exported functions and the tables that they hand out.
#include <array>
#include <cstring>

#include "abi/entry.h"

#define QHX_EXPORT extern "C" __attribute__((visibility("default")))

namespace qhx::cpu::abi {
namespace {

Qnn_ErrorHandle_t not_supported() noexcept { return QNN_COMMON_ERROR_NOT_SUPPORTED; }

// Every slot starts as one that answers "not supported", whatever its arguments: under the C
// calling conventions of LP64 systems a function that takes none may be called with any.
template <typename Table>
void fill_unused(Table& table) {
  static_assert(sizeof(Table) % sizeof(Qnn_UnusedSlot_t) == 0);
  std::array<Qnn_ErrorHandle_t (*)() noexcept, sizeof(Table) / sizeof(Qnn_UnusedSlot_t)> slots;
  slots.fill(&not_supported);
  std::memcpy(&table, slots.data(), sizeof(Table));
}

const QnnInterface_t& core_provider() {
  static const QnnInterface_t kProvider = [] {
    QnnInterface_t provider{};
    provider.backendId = kBackendId;
    provider.providerName = kProviderName;
    provider.apiVersion = {kCoreApiVersion, kBackendApiVersion};
    fill_unused(provider.v2);
    fill_backend_slots(provider.v2);
    fill_context_slots(provider.v2);
    fill_graph_slots(provider.v2);
    fill_profile_slots(provider.v2);
    return provider;
  }();
  return kProvider;
}

const QnnSystemInterface_t& system_provider() {
  static const QnnSystemInterface_t kProvider = [] {
    QnnSystemInterface_t provider{};
    provider.backendId = kBackendId;
    provider.providerName = kProviderName;
    provider.systemApiVersion = kSystemApiVersion;
    fill_unused(provider.v1);
    fill_system_slots(provider.v1);
    return provider;
  }();
  return kProvider;
}

}  // namespace
}  // namespace qhx::cpu::abi

QHX_EXPORT Qnn_ErrorHandle_t QnnInterface_getProviders(const QnnInterface_t*** providers,
                                                       std::uint32_t* count) {
  if (providers == nullptr || count == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
  static const QnnInterface_t* kProviders[] = {&qhx::cpu::abi::core_provider()};
  *providers = kProviders;
  *count = 1;
  return QNN_SUCCESS;
}

QHX_EXPORT Qnn_ErrorHandle_t
QnnSystemInterface_getProviders(const QnnSystemInterface_t*** providers, std::uint32_t* count) {
  if (providers == nullptr || count == nullptr) return QNN_COMMON_ERROR_INVALID_ARGUMENT;
  static const QnnSystemInterface_t* kProviders[] = {&qhx::cpu::abi::system_provider()};
  *providers = kProviders;
  *count = 1;
  return QNN_SUCCESS;
}
