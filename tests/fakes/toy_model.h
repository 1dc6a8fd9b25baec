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
#include <vector>

#include "base/f16.h"
#include "runtime/executor.h"

namespace qhx::fakes {

struct ToyOptions {
  std::uint32_t hidden = 8, vocab = 50, layers = 2, kv_heads = 2, head_dim = 6, context = 40;
  std::uint32_t prefill_rows = 8;  // 0: no prefill graph
  bool prefill_past = true;
  bool head_major = true;
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

  const qnn::GraphInfo* info(runtime::Role role) const override;
  Result<std::shared_ptr<runtime::GraphExecutor>> open(runtime::Role role) override;

  // May be changed before open(), to make graphs that contradict each other.
  std::map<runtime::Role, qnn::GraphInfo> graphs;
  Head head;
  Hook before;
  std::map<runtime::Role, int> opened, runs;

  const ToyOptions& options() const { return options_; }

 private:
  friend class ToyExecutor;
  void describe_decoder(runtime::Role role, std::uint32_t rows, bool past, std::uint32_t deepstack);
  ToyOptions options_;
};

}  // namespace qhx::fakes
