// The numbers by which the HTP library's simulator calls operations. Only its log tells them:
// "Validating Native Op Conv2d_17:…", and when that operation is added "Tensor 14 used as output
// with hexagon_nn_input[31, 0]".
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace qhx::qnn {

class OperationIds {
 public:
  // Every line of the library's most talkative log, in order, of one graph.
  void read_log_line(std::string_view line);

  // By number, the operation's name. Empty if the log of this build says something else.
  const std::map<std::uint32_t, std::string>& names() const { return names_; }

 private:
  std::string current_;  // the operation that is being added
  std::map<std::uint32_t, std::string> names_;
};

}  // namespace qhx::qnn
