// What this machine can do at most: instructions that multiply, as fast as they issue, and memory,
// as fast as it is read. The roofs that kernels are compared with.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "bench/samples.h"

namespace qhx::bench {

// One way to multiply on one instruction set.
struct Peak {
  const char* isa;   // "avx2", "avx512_vnni"
  const char* what;  // "f32", "bf16", "int8", "int8 paired", "int16"
  const char* how;   // the instructions
  bool (*supported)();
  // Multiplications and additions that `rounds` rounds do.
  double (*run)(std::size_t rounds);
};

// Of this architecture, whether the machine has them or not.
std::span<const Peak> all_peaks();

// What a read of memory costs depends on how often the CPU must look an address up.
enum class Pages { kSmall, kHuge };  // 4 KiB, 2 MiB

// Runs work(t) on `threads` threads at once, each on a CPU of its own, and returns the seconds from
// the start of all to the end of the last. More threads than usable CPUs share them.
double run_together(int threads, const std::function<void(int thread)>& work);

// Operations a second of CPU time, of all threads together, each of `repetitions` over about
// `seconds`.
Samples measure_peak(const Peak& peak, int threads, std::size_t repetitions, double seconds);

// Bytes a second read from `bytes` of memory, more than the caches hold. Empty if there is no such
// memory to be had, or the system gave no huge pages.
Samples measure_read(std::size_t bytes, Pages pages, int threads, std::size_t repetitions);

}  // namespace qhx::bench
