// Choice of a kernel table (kernel_table.h) for the machine this runs on.
//
//   QHX_ASSIGN_OR_RETURN(const KernelTable* kernels, select_kernels());
//   AlignedBuffer scratch(kernels->gemm_scratch_bytes);   // one for each thread
//   kernels->linear(args, {.row_end = m, .panel_end = panel_count(n)}, scratch.data());
//
// Tables are constants: all functions here and in the tables are thread-safe.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/kernel_table.h"

namespace qhx::cpu {

// Environment variable that forces a target by name.
inline constexpr const char* kTargetVariable = "QHX_CPU_TARGET";

// Tables whose instructions this machine has, best first. Never empty: "scalar" is always there,
// last.
std::vector<const KernelTable*> supported_kernels();

// The table of this name: kInvalidArgument, with the names to choose from, if this machine or build
// lacks it.
Result<const KernelTable*> kernels_named(std::string_view name);

// The table that QHX_CPU_TARGET names (an error as above if it cannot be had), or the best if it is
// unset or empty.
Result<const KernelTable*> select_kernels();

}  // namespace qhx::cpu
