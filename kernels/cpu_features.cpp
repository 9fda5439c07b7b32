// Checks of CPU features on x86-64 and AArch64 Linux; every other system answers no.
// Never here: kernel code, and anything compiled for more than the baseline instruction set.
#include "kernels/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace edgecl {

#if defined(__x86_64__)
namespace {

struct Registers {
  unsigned a, b, c, d;
};
// What CPUID says of `leaf`, subleaf 0; zeros where there is no such leaf.
Registers cpuid(unsigned leaf) {
  Registers r = {0, 0, 0, 0};
  return __get_cpuid_count(leaf, 0, &r.a, &r.b, &r.c, &r.d) ? r : Registers{0, 0, 0, 0};
}

// True when the operating system saves all the register parts of `parts` (bits of XCR0).
bool system_saves(unsigned parts) {
  if (!(cpuid(1).c & bit_OSXSAVE)) return false;
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & parts) == parts;
}

bool all_set(unsigned value, unsigned bits) {
  return (value & bits) == bits;
}

constexpr unsigned kXmmYmm = 0x6, kOpmaskZmm = 0xe0;  // Intel 64 manual, volume 1, 13.3

}  // namespace

bool cpu_has_x86_v3() {
  return all_set(cpuid(1).c, bit_FMA | bit_MOVBE | bit_F16C | bit_AVX | bit_SSE4_2 | bit_POPCNT) &&
         all_set(cpuid(7).b, bit_AVX2 | bit_BMI | bit_BMI2) && all_set(cpuid(0x80000001u).c, bit_LZCNT) &&
         system_saves(kXmmYmm);
}

bool cpu_has_x86_v4() {
  return cpu_has_x86_v3() &&
         all_set(cpuid(7).b, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL | bit_AVX512CD) &&
         system_saves(kXmmYmm | kOpmaskZmm);
}

bool cpu_has_x86_v4_vnni() {
  return cpu_has_x86_v4() && all_set(cpuid(7).c, bit_AVX512VNNI);
}
#else
bool cpu_has_x86_v3() {
  return false;
}
bool cpu_has_x86_v4() {
  return false;
}
bool cpu_has_x86_v4_vnni() {
  return false;
}
#endif

// The kernel's word: the identification registers cannot be read everywhere.
bool cpu_has_neon_dot() {
#if defined(__aarch64__) && defined(__linux__)
  constexpr unsigned long kHwcapAsimdDp = 1ul << 20;  // Linux, arch/arm64/include/uapi/asm/hwcap.h
  return (getauxval(AT_HWCAP) & kHwcapAsimdDp) != 0;
#else
  return false;
#endif
}

}  // namespace edgecl
