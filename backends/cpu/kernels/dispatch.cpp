#include <cstdlib>
#include <string>

#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace qhx::cpu {

namespace scalar {
extern const KernelTable kTable;
}
#if defined(__x86_64__)
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}
namespace avx512vnni {
extern const KernelTable kTable;
}
namespace avx512bf16 {
extern const KernelTable kTable;
}
#elif defined(__aarch64__)
namespace neon {
extern const KernelTable kTable;
}
namespace neondot {
extern const KernelTable kTable;
}
#endif

namespace {

#if defined(__x86_64__)
// __builtin_cpu_supports also asks whether the system saves the wide registers; not all compilers
// know "f16c" there.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
}

bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

bool has_avx512vnni() { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

bool has_avx512bf16() { return has_avx512vnni() && __builtin_cpu_supports("avx512bf16"); }
#endif

}  // namespace

std::vector<const KernelTable*> supported_kernels() {
  std::vector<const KernelTable*> tables;
#if defined(__x86_64__)
  if (has_avx512bf16()) tables.push_back(&avx512bf16::kTable);
  if (has_avx512vnni()) tables.push_back(&avx512vnni::kTable);
  if (has_avx512()) tables.push_back(&avx512::kTable);
  if (has_avx2()) tables.push_back(&avx2::kTable);
#elif defined(__aarch64__)
  if ((getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0) tables.push_back(&neondot::kTable);
  tables.push_back(&neon::kTable);
#endif
  tables.push_back(&scalar::kTable);
  return tables;
}

Result<const KernelTable*> kernels_named(std::string_view name) {
  std::string choices;
  for (const KernelTable* table : supported_kernels()) {
    if (name == table->name) return table;
    choices += choices.empty() ? "" : ", ";
    choices += table->name;
  }
  return invalid_argument("CPU kernel target \"" + std::string(name) +
                          "\" is unknown or not supported by this machine; it has: " + choices);
}

Result<const KernelTable*> select_kernels() {
  const char* const forced = std::getenv(kTargetVariable);
  if (forced == nullptr || *forced == '\0') return supported_kernels().front();
  return kernels_named(forced).with_context(kTargetVariable);
}

}  // namespace qhx::cpu
