#include "qnn/htp_metadata.h"

#include <cstring>

namespace qhx::qnn {
namespace {

std::uint32_t version(const QnnHtpSystemContext_ContextMetadataV1_t& r) { return r.version; }
std::uint32_t version(const QnnHtpSystemContext_GraphBlobInfoV1_t& r) { return r.version; }
std::uint32_t version(const QhxHtp_GraphBlobInfo2_51_t& r) { return r.v1.version; }

// The record at the beginning of `bytes`, if it is version 1 and complete. Copied: nothing promises
// its alignment.
template <class Record>
std::optional<Record> read_v1(std::span<const std::byte> bytes) {
  Record record;
  if (bytes.size() < sizeof record) return std::nullopt;
  std::memcpy(&record, bytes.data(), sizeof record);
  if (version(record) != 1) return std::nullopt;
  return record;
}

}  // namespace

std::optional<HtpGraphFacts> read_htp_graph_facts(std::span<const std::byte> graph_blob_info) {
  const auto record = read_v1<QnnHtpSystemContext_GraphBlobInfoV1_t>(graph_blob_info);
  if (!record) return std::nullopt;
  const auto longer = read_v1<QhxHtp_GraphBlobInfo2_51_t>(graph_blob_info);
  std::optional<std::uint64_t> shared;
  std::uint64_t own = 0;
  // All zero where a library has the room but records neither.
  if (longer && (longer->ownWeightsSize != 0 || longer->sharedWeightsSize != 0)) {
    shared = longer->sharedWeightsSize;
    own = longer->ownWeightsSize;
  }
  return HtpGraphFacts{.spill_fill_bytes = record->spillFillBufferSize,
                       .vtcm_bytes = record->vtcmSize,
                       .optimization = record->optimizationLevel,
                       .dlbc = record->htpDlbc != 0,
                       .hvx_threads = record->numHvxThreadsReserved,
                       .shared_weight_bytes = shared,
                       .own_weight_bytes = own};
}

std::uint32_t read_htp_arch(std::span<const std::byte> context_metadata) {
  const auto record = read_v1<QnnHtpSystemContext_ContextMetadataV1_t>(context_metadata);
  return record ? record->dspArch : 0;
}

}  // namespace qhx::qnn
