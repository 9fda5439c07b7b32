// Checks of CPU features on x86-64; every other architecture answers no.
// Never here: kernel code, and anything compiled for more than the baseline instruction set.
#include "kernels/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace edgecl {

#if defined(__x86_64__)
namespace {

// LZCNT (extended leaf), MOVBE and F16C have no name that every supported compiler's __builtin_cpu_supports knows.
bool has_v3_scalar_extensions() {
  unsigned a, b, c, d;
  if (!__get_cpuid(0x80000001u, &a, &b, &c, &d) || !(c & bit_LZCNT)) return false;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return false;
  return (c & bit_MOVBE) && (c & bit_F16C);
}

}  // namespace

bool cpu_has_x86_v3() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2") && has_v3_scalar_extensions();
}

bool cpu_has_x86_v4() {
  return cpu_has_x86_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd");
}
#else
bool cpu_has_x86_v3() {
  return false;
}
bool cpu_has_x86_v4() {
  return false;
}
#endif

}  // namespace edgecl
