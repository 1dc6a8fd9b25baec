#include <immintrin.h>

#include <cstdint>

#include "machine_limits/peaks.h"

// Functions carry their instruction sets, so this file needs no flags, and no other code can be
// built with them.
#define QHX_ISA(sets) __attribute__((target(sets)))
// Unrolled whole, or the arrays of sums would live in memory.
#define QHX_UNROLL _Pragma("GCC unroll 16")
#define QHX_INLINE inline __attribute__((always_inline))
#define QHX_KEEP(x) asm volatile("" : "+v"(x))

namespace qhx::bench {
namespace {

volatile std::uint64_t sink;

// ---- 256 bits ----

constexpr int kSums256 = 12;  // of 16 registers

// Inlined and unrolled whole: a sum whose address is taken would live in memory in the loop, too.
template <int kCount>
QHX_ISA("avx2")
QHX_INLINE void finish(__m256i (&sums)[kCount]) {
  QHX_UNROLL for (int k = 1; k < kCount; ++k) sums[0] = _mm256_add_epi32(sums[0], sums[k]);
  sink = static_cast<std::uint32_t>(_mm256_extract_epi32(sums[0], 0));
}

QHX_ISA("avx2,fma") double f32_avx2(std::size_t rounds) {
  __m256 a[kSums256], m = _mm256_set1_ps(0.999f), c = _mm256_set1_ps(1e-3f);
  QHX_UNROLL for (auto& x : a) x = _mm256_set1_ps(1.0f);
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = _mm256_fmadd_ps(x, m, c);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  QHX_UNROLL for (int k = 1; k < kSums256; ++k) a[0] = _mm256_add_ps(a[0], a[k]);
  sink = static_cast<std::uint64_t>(_mm_cvtss_f32(_mm256_castps256_ps128(a[0])));
  return static_cast<double>(rounds) * kSums256 * 8 * 2;
}

// For each 32 bytes: products of pairs to 16 bits, pairs of those to 32, the sum.
QHX_ISA("avx2") double int8_avx2(std::size_t rounds) {
  constexpr int kSums = 8;
  __m256i a[kSums], u = _mm256_set1_epi8(3), s = _mm256_set1_epi8(-2);
  const __m256i one = _mm256_set1_epi16(1);
  QHX_UNROLL for (auto& x : a) x = _mm256_setzero_si256();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) {
      __m256i t = u;
      QHX_KEEP(t);  // so that each product is computed
      x = _mm256_add_epi32(x, _mm256_madd_epi16(_mm256_maddubs_epi16(t, s), one));
    }
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums * 32 * 2;
}

// Two products are added as 16 bits before they are widened: right if four products fit, so one
// side has 6 bits.
QHX_ISA("avx2") double int8_paired_avx2(std::size_t rounds) {
  constexpr int kSums = 6;
  __m256i a[kSums], u = _mm256_set1_epi8(3), s = _mm256_set1_epi8(-2);
  const __m256i one = _mm256_set1_epi16(1);
  QHX_UNROLL for (auto& x : a) x = _mm256_setzero_si256();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) {
      __m256i t = u, v = s;
      QHX_KEEP(t);
      QHX_KEEP(v);
      const __m256i pair = _mm256_add_epi16(_mm256_maddubs_epi16(t, s), _mm256_maddubs_epi16(u, v));
      x = _mm256_add_epi32(x, _mm256_madd_epi16(pair, one));
    }
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums * 64 * 2;
}

QHX_ISA("avx2") double int16_avx2(std::size_t rounds) {
  __m256i a[kSums256], s = _mm256_set1_epi16(-2);
  QHX_UNROLL for (auto& x : a) x = _mm256_setzero_si256();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) {
      __m256i t = s;
      QHX_KEEP(t);
      x = _mm256_add_epi32(x, _mm256_madd_epi16(t, s));
    }
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums256 * 16 * 2;
}

QHX_ISA("avx2,avxvnni") double int8_avx_vnni(std::size_t rounds) {
  __m256i a[kSums256], u = _mm256_set1_epi8(3), s = _mm256_set1_epi8(-2);
  QHX_UNROLL for (auto& x : a) x = _mm256_setzero_si256();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = _mm256_dpbusd_avx_epi32(x, u, s);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums256 * 32 * 2;
}

// ---- 512 bits ----

constexpr int kSums512 = 16;  // of 32 registers

QHX_ISA("avx512f") QHX_INLINE void finish(__m512 (&sums)[kSums512]) {
  QHX_UNROLL for (int k = 1; k < kSums512; ++k) sums[0] = _mm512_add_ps(sums[0], sums[k]);
  sink = static_cast<std::uint64_t>(_mm_cvtss_f32(_mm512_castps512_ps128(sums[0])));
}
QHX_ISA("avx512f") QHX_INLINE void finish(__m512i (&sums)[kSums512]) {
  QHX_UNROLL for (int k = 1; k < kSums512; ++k) sums[0] = _mm512_add_epi32(sums[0], sums[k]);
  sink = static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(sums[0])));
}

QHX_ISA("avx512f") double f32_avx512(std::size_t rounds) {
  __m512 a[kSums512], m = _mm512_set1_ps(0.999f), c = _mm512_set1_ps(1e-3f);
  QHX_UNROLL for (auto& x : a) x = _mm512_set1_ps(1.0f);
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = _mm512_fmadd_ps(x, m, c);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums512 * 16 * 2;
}

QHX_ISA("avx512f,avx512bw") double int8_avx512(std::size_t rounds) {
  __m512i a[kSums512], u = _mm512_set1_epi8(3), s = _mm512_set1_epi8(-2);
  const __m512i one = _mm512_set1_epi16(1);
  QHX_UNROLL for (auto& x : a) x = _mm512_setzero_si512();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) {
      __m512i t = u;
      QHX_KEEP(t);
      x = _mm512_add_epi32(x, _mm512_madd_epi16(_mm512_maddubs_epi16(t, s), one));
    }
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums512 * 64 * 2;
}

QHX_ISA("avx512f,avx512vnni") double int8_avx512_vnni(std::size_t rounds) {
  __m512i a[kSums512], u = _mm512_set1_epi8(3), s = _mm512_set1_epi8(-2);
  QHX_UNROLL for (auto& x : a) x = _mm512_setzero_si512();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = _mm512_dpbusd_epi32(x, u, s);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums512 * 64 * 2;
}

QHX_ISA("avx512f,avx512vnni") double int16_avx512_vnni(std::size_t rounds) {
  __m512i a[kSums512], s = _mm512_set1_epi16(-2);
  QHX_UNROLL for (auto& x : a) x = _mm512_setzero_si512();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = _mm512_dpwssd_epi32(x, s, s);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums512 * 32 * 2;
}

QHX_ISA("avx512f,avx512bf16") double bf16_avx512(std::size_t rounds) {
  __m512 a[kSums512];
  const __m512bh s = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
  QHX_UNROLL for (auto& x : a) x = _mm512_setzero_ps();
  for (std::size_t i = 0; i < rounds; ++i) {
    QHX_UNROLL for (auto& x : a) x = _mm512_dpbf16_ps(x, s, s);
    QHX_UNROLL for (auto& x : a) QHX_KEEP(x);
  }
  finish(a);
  return static_cast<double>(rounds) * kSums512 * 32 * 2;
}

// ---- Memory ----

QHX_ISA("avx2") std::uint64_t read_avx2(const std::byte* data, std::size_t bytes) {
  __m256i a[8];
  QHX_UNROLL for (auto& x : a) x = _mm256_setzero_si256();
  for (std::size_t i = 0; i < bytes; i += 256) {
    QHX_UNROLL for (int k = 0; k < 8; ++k) a[k] = _mm256_add_epi64(
        a[k], _mm256_load_si256(reinterpret_cast<const __m256i*>(data + i + 32 * k)));
  }
  QHX_UNROLL for (int k = 1; k < 8; ++k) a[0] = _mm256_add_epi64(a[0], a[k]);
  return static_cast<std::uint64_t>(_mm256_extract_epi64(a[0], 0));
}

QHX_ISA("avx512f") std::uint64_t read_avx512(const std::byte* data, std::size_t bytes) {
  __m512i a[8];
  QHX_UNROLL for (auto& x : a) x = _mm512_setzero_si512();
  for (std::size_t i = 0; i < bytes; i += 512) {
    QHX_UNROLL for (int k = 0; k < 8; ++k) a[k] =
        _mm512_add_epi64(a[k], _mm512_load_si512(data + i + 64 * k));
  }
  QHX_UNROLL for (int k = 1; k < 8; ++k) a[0] = _mm512_add_epi64(a[0], a[k]);
  return static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(a[0])));
}

std::uint64_t read_any(const std::byte* data, std::size_t bytes) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < bytes; i += sizeof(std::uint64_t))
    sum += *reinterpret_cast<const std::uint64_t*>(data + i);
  return sum;
}

#define QHX_HAS(set) __builtin_cpu_supports(set)
bool has_avx2() { return QHX_HAS("avx2") && QHX_HAS("fma"); }
bool has_avx_vnni() { return has_avx2() && QHX_HAS("avxvnni"); }
bool has_avx512() { return QHX_HAS("avx512f") && QHX_HAS("avx512bw"); }
bool has_avx512_vnni() { return has_avx512() && QHX_HAS("avx512vnni"); }
bool has_avx512_bf16() { return has_avx512() && QHX_HAS("avx512bf16"); }

constexpr Peak kPeaks[] = {
    {"avx2", "f32", "vfmadd", has_avx2, f32_avx2},
    {"avx2", "int8", "vpmaddubsw, vpmaddwd, vpaddd", has_avx2, int8_avx2},
    {"avx2", "int8 paired", "2 vpmaddubsw, vpaddw, vpmaddwd, vpaddd", has_avx2, int8_paired_avx2},
    {"avx2", "int16", "vpmaddwd, vpaddd", has_avx2, int16_avx2},
    {"avx_vnni", "int8", "vpdpbusd, 256 bits", has_avx_vnni, int8_avx_vnni},
    {"avx512", "f32", "vfmadd", has_avx512, f32_avx512},
    {"avx512", "int8", "vpmaddubsw, vpmaddwd, vpaddd", has_avx512, int8_avx512},
    {"avx512_vnni", "int8", "vpdpbusd", has_avx512_vnni, int8_avx512_vnni},
    {"avx512_vnni", "int16", "vpdpwssd", has_avx512_vnni, int16_avx512_vnni},
    {"avx512_bf16", "bf16", "vdpbf16ps", has_avx512_bf16, bf16_avx512},
};

}  // namespace

std::span<const Peak> all_peaks() { return kPeaks; }

ReadFunction best_read() { return has_avx512() ? read_avx512 : has_avx2() ? read_avx2 : read_any; }

}  // namespace qhx::bench
