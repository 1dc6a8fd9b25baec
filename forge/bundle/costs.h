// How much work a forge is: only its progress display and the watchdog's patience depend on it.
// The unit is the time that converting one weight takes.
#pragma once

#include <chrono>
#include <span>

#include "forge/bundle/contexts.h"
#include "forge/bundle/options.h"
#include "forge/hf/config.h"
#include "forge/ranges/calibration.h"

namespace qhx::forge {

class Costs {
 public:
  // Both must outlive it.
  Costs(const ForgeOptions& options, const hf::ModelConfig& config)
      : options_(options), config_(config), weights_(config) {}

  // Elements of the checkpoint that become part of the context; of the embedding table.
  double weights(const ContextJob& job) const { return weights_.of(job.kind); }
  double table_weights() const { return weights_.head; }
  // Bytes of all weights in the binaries; shared ones are stored once.
  double stored_bytes(std::span<const ContextJob> jobs) const;

  double measuring(const CalibrationSet& set) const;
  double rounding(const CalibrationSet& set) const;
  double quality(const CalibrationSet& trial) const;
  double table() const;
  // After the conversion of a context's weights: finalizing and writing, with options.prove also
  // running its graphs.
  double finishing(const ContextJob& job) const;
  static double checksum(double bytes);

  // What passes in so much time.
  static double of(std::chrono::duration<double> time);
  // A library that is silent for longer than this while it finishes a context will not end.
  std::chrono::seconds patience(const ContextJob& job) const;

 private:
  double proof_seconds(const ContextJob& job) const;

  const ForgeOptions& options_;
  const hf::ModelConfig& config_;
  ContextWeights weights_;
};

}  // namespace qhx::forge
