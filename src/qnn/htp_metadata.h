// What HTP binaries record about their preparation, as opaque bytes that begin with a version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "qnn/binary_info.h"

namespace qhx::qnn {

// Nothing for bytes of another version, or too few of them.
std::optional<HtpGraphFacts> read_htp_graph_facts(std::span<const std::byte> graph_blob_info);
// 75, 79, 81 …; 0 for bytes of another version, or too few of them.
std::uint32_t read_htp_arch(std::span<const std::byte> context_metadata);

}  // namespace qhx::qnn
