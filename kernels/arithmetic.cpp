// Exact fused multiply-add and square root of floats out of simpler operations.
// Never here: doubles (arithmetic_double.cpp), and the choice between these and an instruction (arithmetic.h).
#include "kernels/arithmetic.h"

#include "kernels/cpu_features.h"
#include "kernels/exp_log.h"

namespace edgecl {

// The product of two floats is exact in double. Their sum is rounded to odd: where it is inexact, the last bit is set,
// towards the part that was lost. A double has more than twice the bits of a float, so the second rounding then gives
// what one rounding of the exact sum would (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
float fused_by_parts(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const double addend = static_cast<double>(c);
  double sum = product + addend;
  const double of_addend = sum - product;
  const double lost = (product - (sum - of_addend)) + (addend - of_addend);
  uint64_t bits;
  memcpy(&bits, &sum, sizeof bits);
  if (lost != 0 && (bits & 1) == 0 && lost - lost == 0) {  // the last: no infinity or NaN on the way
    bits += (lost > 0) == (sum > 0) ? 1 : ~0ull;
    memcpy(&sum, &bits, sizeof sum);
  }
  return static_cast<float>(sum);
}

#if defined(__x86_64__)
namespace {

__attribute__((target("fma"))) float fused_by_instruction(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
__attribute__((target("fma"))) double fused_by_instruction(double a, double b, double c) {
  return __builtin_fma(a, b, c);
}

enum Answer : int { kUnknown = 0, kHasFma, kHasNone };

// CPUID costs a hundred multiply-adds: its answer is kept. Two threads that ask at once find the same one.
bool cpu_has_fma() {
  static int answer = kUnknown;
  int known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
  if (known == kUnknown) {
    known = cpu_has_x86_v3() ? kHasFma : kHasNone;
    __atomic_store_n(&answer, known, __ATOMIC_RELAXED);
  }
  return known == kHasFma;
}

}  // namespace

float fused_as_cpu_can(float a, float b, float c) {
  return cpu_has_fma() ? fused_by_instruction(a, b, c) : fused_by_parts(a, b, c);
}
double fused_as_cpu_can(double a, double b, double c) {
  return cpu_has_fma() ? fused_by_instruction(a, b, c) : fused_by_parts(a, b, c);
}
#endif

// Digit by digit in integers: the root of the mantissa with one bit more than a float has, which decides the rounding.
float root_by_bits(float x) {
  uint32_t bits = float_bits(x);
  if ((bits & 0x7fffffffu) == 0 || bits == 0x7f800000u) return x;
  if ((bits & 0x7fffffffu) > 0x7f800000u) return x + x;
  if (bits > 0x7f800000u) return __builtin_nanf("");
  int32_t exponent = static_cast<int32_t>(bits >> 23);
  uint64_t mantissa = bits & 0x7fffffu;
  if (exponent == 0) {
    exponent = 1;
    while ((mantissa & 0x800000u) == 0) {
      mantissa <<= 1;
      exponent--;
    }
  }
  mantissa |= 0x800000u;
  exponent -= 127;
  if ((exponent & 1) != 0) {
    mantissa <<= 1;
    exponent--;
  }
  const uint64_t square = mantissa << 25;  // 48 or 49 bits, so its root has 25
  uint64_t root = 0;
  for (uint64_t digit = 1ull << 24; digit != 0; digit >>= 1) {
    if ((root + digit) * (root + digit) <= square) root += digit;
  }
  const uint32_t rounded =
      static_cast<uint32_t>((root >> 1) + (root & 1));  // never a tie: squares of odd numbers are odd
  return bits_float((static_cast<uint32_t>(exponent / 2 + 127) << 23) + (rounded - 0x800000u));
}

}  // namespace edgecl
