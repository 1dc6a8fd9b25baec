#include <arm_neon.h>
#include <sys/auxv.h>

#include <cstdint>

#include "machine_limits/peaks.h"

#define QHX_ISA(sets) __attribute__((target(sets)))
#define QHX_UNROLL _Pragma("GCC unroll 16")
#define QHX_KEEP(x) asm volatile("" : "+w"(x))

namespace qhx::bench {
namespace {

constexpr int kSums = 16;  // of 32 registers
volatile std::uint64_t sink;

double f32_neon(std::size_t rounds) {
  float32x4_t a[kSums], m = vdupq_n_f32(0.999f), c = vdupq_n_f32(1e-3f);
  QHX_UNROLL for (auto& x : a) x = vdupq_n_f32(1.0f);
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = vfmaq_f32(x, m, c);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  QHX_UNROLL for (int k = 1; k < kSums; ++k) a[0] = vaddq_f32(a[0], a[k]);
  sink = static_cast<std::uint64_t>(vgetq_lane_f32(a[0], 0));
  return static_cast<double>(rounds) * kSums * 4 * 2;
}

// Inlined and unrolled whole: a sum whose address is taken would live in memory in the loop, too.
inline __attribute__((always_inline)) void finish(int32x4_t (&sums)[kSums]) {
  QHX_UNROLL for (int k = 1; k < kSums; ++k) sums[0] = vaddq_s32(sums[0], sums[k]);
  sink = static_cast<std::uint32_t>(vgetq_lane_s32(sums[0], 0));
}

QHX_ISA("arch=armv8.2-a+dotprod") double int8_dotprod(std::size_t rounds) {
  int32x4_t a[kSums];
  const int8x16_t u = vdupq_n_s8(3), s = vdupq_n_s8(-2);
  QHX_UNROLL for (auto& x : a) x = vdupq_n_s32(0);
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = vdotq_s32(x, u, s);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums * 16 * 2;
}

QHX_ISA("arch=armv8.2-a+i8mm") double int8_i8mm(std::size_t rounds) {
  int32x4_t a[kSums];
  const int8x16_t u = vdupq_n_s8(3), s = vdupq_n_s8(-2);
  QHX_UNROLL for (auto& x : a) x = vdupq_n_s32(0);
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = vmmlaq_s32(x, u, s);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums * 32 * 2;
}

std::uint64_t read_neon(const std::byte* data, std::size_t bytes) {
  uint64x2_t a[8];
  QHX_UNROLL for (auto& x : a) x = vdupq_n_u64(0);
  for (std::size_t i = 0; i < bytes; i += 128) {
    QHX_UNROLL for (int k = 0; k < 8; ++k) a[k] =
        vaddq_u64(a[k], vld1q_u64(reinterpret_cast<const std::uint64_t*>(data + i + 16 * k)));
  }
  QHX_UNROLL for (int k = 1; k < 8; ++k) a[0] = vaddq_u64(a[0], a[k]);
  return vgetq_lane_u64(a[0], 0);
}

bool has_neon() { return true; }
bool has_dotprod() { return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0; }
bool has_i8mm() { return (getauxval(AT_HWCAP2) & HWCAP2_I8MM) != 0; }

constexpr Peak kPeaks[] = {
    {"neon", "f32", "fmla", has_neon, f32_neon},
    {"dotprod", "int8", "sdot", has_dotprod, int8_dotprod},
    {"i8mm", "int8", "smmla", has_i8mm, int8_i8mm},
};

}  // namespace

std::span<const Peak> all_peaks() { return kPeaks; }
ReadFunction best_read() { return read_neon; }

}  // namespace qhx::bench
