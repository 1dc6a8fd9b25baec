// A model without weights: graphs with the names, shapes and types of a real bundle's, whose
// arithmetic is a few lines. The result at a token depends on every token before it, on its
// position and on the deepstack rows, so that a wrong mask, cache row, rotary table or chunk border
// shows in the logits.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/f16.h"
#include "runtime/executor.h"

namespace qhx::fakes {

struct ToyOptions {
  std::uint32_t hidden = 8, vocab = 50, layers = 2, kv_heads = 2, head_dim = 6, context = 40;
  std::uint32_t prefill_rows = 8;  // 0: no prefill graph
  // Besides `context` and `prefill_rows`: each context gets a decode graph, and each pair of a
  // context and a number of rows a prefill graph.
  std::vector<std::uint32_t> further_contexts, further_rows;
  bool prefill_past = true;
  bool head_major = true;
  // Keys and values as INT_8, with past_k_scale_i and so on beside them; otherwise FLOAT_16.
  bool int8_cache = false;
  bool full_rope = false;  // tables of head_dim columns instead of head_dim / 2
  Qnn_DataType_t type = QNN_DATATYPE_FLOAT_32;
  std::uint32_t deepstack = 0;
  std::uint32_t patches = 0, patch_width = 0, merge = 2;  // vision graph if patches > 0
};

class ToyModel final : public runtime::GraphProvider {
 public:
  // Replaces the head: hidden [H] to logits [vocab].
  using Head = std::function<void(const std::vector<float>& hidden, std::vector<float>& logits)>;
  // Called before every execution; an error becomes the execution's.
  using Hook = std::function<Status(runtime::Role)>;

  explicit ToyModel(const ToyOptions& options);

  using runtime::GraphProvider::open;
  std::vector<const qnn::GraphInfo*> infos(runtime::Role role) const override;
  Result<std::shared_ptr<runtime::GraphExecutor>> open(runtime::Role role,
                                                       std::size_t index) override;

  // May be changed before open(), to make graphs that contradict each other. `further` are those of
  // the further contexts and rows.
  std::map<runtime::Role, qnn::GraphInfo> graphs;
  std::map<runtime::Role, std::vector<qnn::GraphInfo>> further;
  Head head;
  Hook before;
  std::map<runtime::Role, int> opened, runs, rests;
  // The cache rows and rows of the decoder graphs that ran, in order.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> trace;

  const ToyOptions& options() const { return options_; }

 private:
  friend class ToyExecutor;
  qnn::GraphInfo describe_decoder(std::string name, std::uint32_t rows, std::uint32_t context,
                                  std::uint32_t deepstack) const;
  void describe_further();
  ToyOptions options_;
};

}  // namespace qhx::fakes
