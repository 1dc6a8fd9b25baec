// What the nodes of graphs take, summed from the profile that a library makes of each execution.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "qnn/abi/qnn_types.h"

namespace qhx::qnn {

// The kind of a node, from what a library calls its event: "Conv2d_17:qhx.Linear" of our CPU
// library, "Conv2d_17:OpId_25 (cycles)" of the HTP library.
std::string node_kind(std::string_view event);

// For graphs that execute one after the other: all of them share one profile.
class NodeTimes {
 public:
  struct Sum {
    std::uint64_t nodes = 0;
    std::uint64_t time = 0;  // in the library's unit, microseconds or cycles
  };

  // Null if the library makes no profiles of nodes.
  static std::unique_ptr<NodeTimes> create(const QnnInterface_ImplementationV2_t& api,
                                           Qnn_BackendHandle_t backend);
  ~NodeTimes();
  NodeTimes(const NodeTimes&) = delete;
  NodeTimes& operator=(const NodeTimes&) = delete;

  // To be handed to graphExecute.
  Qnn_ProfileHandle_t profile() const { return profile_; }
  // After an execution of `graph` with it.
  void collect(const std::string& graph);

  // By graph and kind of node. Empty if the library's profiles do not tell nodes.
  const std::map<std::string, std::map<std::string, Sum>>& sums() const { return sums_; }
  void reset() { sums_.clear(); }

 private:
  NodeTimes(const QnnInterface_ImplementationV2_t& api, Qnn_ProfileHandle_t profile)
      : api_(api), profile_(profile) {}
  void add(std::uint64_t event, std::map<std::string, Sum>& sums) const;

  const QnnInterface_ImplementationV2_t& api_;
  Qnn_ProfileHandle_t profile_;
  std::map<std::string, std::map<std::string, Sum>> sums_;
};

}  // namespace qhx::qnn
