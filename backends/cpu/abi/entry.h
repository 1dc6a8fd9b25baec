// The functions behind the slots of the interface tables, by file. All are noexcept and
// thread-safe; errors of a call are logged to the client's logger.
#pragma once

#include <string_view>

#include "qnn/abi/qnn_types.h"

namespace qhx::cpu::abi {

inline constexpr std::uint32_t kBackendId = 0x51485843;  // "QHXC"
inline constexpr const char* kProviderName = "QHX_CPU";
inline constexpr const char* kBuildId = "qhx-cpu v" QHX_VERSION;
inline constexpr Qnn_Version_t kCoreApiVersion = {2, 32, 0};
inline constexpr Qnn_Version_t kSystemApiVersion = {1, 7, 0};
inline constexpr Qnn_Version_t kBackendApiVersion = {1, 0, 0};

// Each fills the slots that its file implements.
void fill_backend_slots(QnnInterface_ImplementationV2_t& table);
void fill_context_slots(QnnInterface_ImplementationV2_t& table);
void fill_graph_slots(QnnInterface_ImplementationV2_t& table);
void fill_profile_slots(QnnInterface_ImplementationV2_t& table);
void fill_system_slots(QnnSystemInterface_ImplementationV1_t& table);

// Shared by both tables.
Qnn_ErrorHandle_t log_create(QnnLog_Callback_t callback, QnnLog_Level_t level,
                             Qnn_LogHandle_t* handle) noexcept;
Qnn_ErrorHandle_t log_set_level(Qnn_LogHandle_t handle, QnnLog_Level_t level) noexcept;
Qnn_ErrorHandle_t log_free(Qnn_LogHandle_t handle) noexcept;

}  // namespace qhx::cpu::abi
