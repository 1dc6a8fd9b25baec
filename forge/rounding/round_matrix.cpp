#include "forge/rounding/round_matrix.h"

#include <algorithm>
#include <functional>
#include <mutex>

#include "base/check.h"
#include "base/f16.h"
#include "forge/arch/weights.h"
#include "forge/quant/quantize.h"
#include "forge/quant/rounded_weights.h"
#include "forge/rounding/compensate.h"

namespace qhx::forge {
namespace {

// Rows of a piece of work: their errors stay in the level-2 cache while the panels pass.
constexpr std::size_t kRows = 48;
// Pieces whose errors are compared, spread over the matrix.
constexpr std::size_t kSamples = 4;

class MatrixRounder {
 public:
  MatrixRounder(const hf::TensorView& tensor, const ErrorFeedback& feedback)
      : tensor_(tensor),
        feedback_(feedback),
        in_(tensor.row_size()),
        groups_(in_ / quant::kGroupSize),
        pieces_((tensor.rows() + kRows - 1) / kRows) {
    QHX_CHECK(in_ == feedback.width());
    result_.packed.resize(tensor.rows() * in_ / 2);
    result_.scales.resize(tensor.rows() * groups_);
  }

  Result<RoundedMatrix> run(ThreadPool& pool) {
    pool.run(pieces_, [&](std::size_t piece) {
      Status status = round(piece);
      const std::lock_guard lock(mutex_);
      if (status_.ok()) status_ = std::move(status);
    });
    if (!status_.ok()) return status_.with_context("tensor " + std::string(tensor_.name));
    for (const Sample& sample : samples_) {
      result_.signal += sample.signal;
      result_.compensated += sample.compensated;
      result_.nearest += sample.nearest;
      result_.int8 += sample.int8;
    }
    return std::move(result_);
  }

 private:
  struct Sample {
    double signal = 0, compensated = 0, nearest = 0, int8 = 0;
  };

  Status round(std::size_t piece) {
    const std::size_t first = piece * kRows, count = std::min(kRows, tensor_.rows() - first);
    std::vector<float> w(count * in_), scales(count * groups_);
    QHX_RETURN_IF_ERROR(hf::read_f32(tensor_, first, count, w));
    QHX_RETURN_IF_ERROR(check_values(w, WeightFormat::kW4, first * in_));
    std::vector<std::int8_t> q(w.size());
    const double error = round_compensated(w.data(), count, feedback_, q.data(), scales.data());
    quant::pack_4bit(q, std::span(result_.packed).subspan(first * in_ / 2, count * in_ / 2));
    f32_to_f16(scales, std::span(result_.scales).subspan(first * groups_, count * groups_));
    const std::size_t stride = std::max<std::size_t>(1, pieces_ / kSamples);
    if (piece % stride == 0 && piece / stride < kSamples)
      compare(w, count, error, samples_[piece / stride]);
    return {};
  }

  void compare(const std::vector<float>& w, std::size_t rows, double compensated,
               Sample& sample) const {
    const auto error_of = [&](const std::function<void(float*)>& rounding) {
      std::vector<float> e = w;
      rounding(e.data());
      for (std::size_t i = 0; i < e.size(); ++i) e[i] = w[i] - e[i];
      return output_error(e.data(), rows, feedback_);
    };
    sample.signal = output_error(w.data(), rows, feedback_);
    sample.compensated = compensated;
    sample.nearest =
        error_of([&](float* e) { quant::round_to_grouped_4bit(e, rows, in_, quant::kGroupSize); });
    sample.int8 = error_of([&](float* e) { quant::round_to_int8_per_channel(e, rows, in_); });
  }

  const hf::TensorView& tensor_;
  const ErrorFeedback& feedback_;
  std::size_t in_, groups_, pieces_;
  RoundedMatrix result_;
  Sample samples_[kSamples];
  std::mutex mutex_;
  Status status_;
};

}  // namespace

Result<RoundedMatrix> round_matrix(const hf::TensorView& tensor, const ErrorFeedback& feedback,
                                   ThreadPool& pool) {
  return MatrixRounder(tensor, feedback).run(pool);
}

}  // namespace qhx::forge
