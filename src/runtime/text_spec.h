// The text model's sizes, found in its graphs and compared with what the manifest says.
#pragma once

#include <array>
#include <cstdint>

#include "base/status.h"
#include "manifest/manifest.h"
#include "qnn/binary_info.h"
#include "runtime/kv_cache.h"

namespace qhx::runtime {

// T rows of a call, C rows of the cache, H hidden, D head_dim, G kv heads, i layer, W the width of
// the rotary tables (D / 2, or D where both halves are declared). Dimensions of 1 are ignored.
struct TextSpec {
  std::size_t hidden = 0;
  std::size_t vocab = 0;
  std::size_t layers = 0;
  std::size_t head_dim = 0;
  std::size_t context = 0;       // C
  std::size_t prefill_rows = 0;  // T of the prefill graph; 0: there is none
  bool prefill_past = false;     // mask [T, C + T] and past_k_i; otherwise mask [T, T]
  std::size_t deepstack = 0;     // deepstack_k inputs of the prefill graph
  KvShape kv;
  double rope_theta = 0;
  std::array<int, 3> mrope_section = {0, 0, 0};
  std::size_t decode_tail = 0;
};

// Graphs as described in docs/manifest.md. kCorrupt, naming graph, tensor and both values, where
// graphs and manifest or two graphs contradict each other; kUnsupported for graphs of another form.
// `prefill` may be null.
Result<TextSpec> make_text_spec(const manifest::Manifest& manifest, const qnn::GraphInfo& decode,
                                const qnn::GraphInfo* prefill, const qnn::GraphInfo& head);

// The tensor named `name`, or the only one of the list. Null if there is neither.
const qnn::TensorInfo* find_or_only(const std::vector<qnn::TensorInfo>& tensors,
                                    std::string_view name);

// Whether two shapes are equal, dimensions of 1 left out.
bool same_shape(const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b);

// kCorrupt with both shapes unless the tensor (null: kCorrupt too) has the expected one. `where` is
// "graph x: input y", `why` names the manifest's keys.
Status expect_shape(const qnn::TensorInfo* tensor, const std::vector<std::uint32_t>& expected,
                    std::string_view where, std::string_view why);

}  // namespace qhx::runtime
