// Inside of the reference: tells an observer, if there is one, what one block or layer makes.
#pragma once

#include "reference/forward.h"

namespace qhx::reference {

struct Witness {
  const Observer& observer;
  std::optional<std::size_t> index = std::nullopt;

  void operator()(std::string_view kind, const Matrix& value) const {
    if (observer) observer({kind, index}, value);
  }
  // Head by head: all scores of a large picture at once would take more memory than its weights.
  void scores(std::string_view kind, const AttentionShape& shape, const Matrix& q, const Matrix& k,
              ThreadPool& pool) const {
    if (!observer) return;
    for (std::size_t head = 0; head < shape.n_heads; ++head)
      observer({kind, index}, attention_scores(shape, q, k, head, pool));
  }
};

}  // namespace qhx::reference
