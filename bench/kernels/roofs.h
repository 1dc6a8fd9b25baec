// The machine's limits that one thread's kernels are compared with, measured once for a process.
#pragma once

#include <string_view>

namespace qhx::bench {

// Operations a second of the numbers ("f32", "bf16", "int8", as machine_limits names them) with the
// instructions that the kernel target may use: "avx512" has those of avx512_vnni and avx2, too. 0
// if nothing is known of the target.
double peak_roof(std::string_view target, std::string_view numbers);

// Bytes a second read from memory in small pages, as kernels read a mapped file.
double read_roof();

}  // namespace qhx::bench
