// Scalar exp, log and sigmoid that give the same bits on every compiler, level and machine, and their coefficients.
// Never here: vector forms (simd/math.h holds them), and calls of the C library's functions.
#ifndef EDGECL_KERNELS_EXP_LOG_H_
#define EDGECL_KERNELS_EXP_LOG_H_

#include <stdint.h>
#include <string.h>

#include "kernels/arithmetic.h"

// Method. Argument reduction after Cody & Waite, Software Manual for the Elementary Functions (1980): x = n ln 2 + r
// with ln 2 in two parts, the first of 9 bits so that n * kLn2High is exact. The polynomials minimise the largest
// relative error of the result (Remez exchange, 1934), computed for this file with 40 digits:
//   exp(r) = 1 + r + r^2 q(r),            |r| <= ln2 / 2,                relative error of the polynomial 3.1e-9
//   log(1+f) = f - f^2/2 + f^3 p(f),      sqrt(1/2) - 1 <= f < sqrt(2) - 1,  relative error of the polynomial 5.9e-9
// Range and error, measured against the double functions at every float (tests/kernels/math_test.cpp samples them):
//   exp_scalar: below kExpLow (-87.33654) exactly 0, above kExpHigh (88.72283) infinity, NaN gives NaN; else at
//   most 1.01 ulp. log_scalar: normal positive x at most 0.87 ulp; zero and denormals -infinity, negative x NaN,
//   infinity infinity.
namespace edgecl {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2High = 0.693359375f;
constexpr float kLn2Low = -2.12194440e-4f;
constexpr float kRoundToInteger = 12582912.0f;  // 1.5 * 2^23: adding it rounds |x| < 2^22 to an integer, ties to even
constexpr float kExpLow = -87.3365402f;         // just above ln(2^-126): results stay normal numbers
constexpr float kExpHigh = 88.7228317f;         // the largest float whose exp is finite
constexpr float kExpCoefficients[] = {0.00138145424727f, 0.00836874503792f, 0.0416683907352f, 0.166665203998f,
                                      0.499999934324f};
constexpr float kLogCoefficients[] = {-0.0763450290965f, 0.127615773481f, -0.131601804663f, 0.142017579983f,
                                      -0.16623357535f,   0.200012268731f, -0.250008210285f, 0.333333317078f};
constexpr uint32_t kSqrtHalfBits = 0x3f3504f3u;
constexpr float kMinNormal = 1.17549435e-38f;

#define EDGECL_SCALAR_INLINE static inline __attribute__((always_inline))

EDGECL_SCALAR_INLINE uint32_t float_bits(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}
EDGECL_SCALAR_INLINE float bits_float(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}

EDGECL_SCALAR_INLINE float exp_scalar(float x) {
  if (!(x >= kExpLow)) return x < kExpLow ? 0.0f : x;
  if (x > kExpHigh) return __builtin_inff();
  const float t = fused_multiply_add(x, kLog2E, kRoundToInteger);
  const float n = t - kRoundToInteger;
  const float r = fused_multiply_add(n, -kLn2Low, fused_multiply_add(n, -kLn2High, x));
  float q = kExpCoefficients[0];
  for (int i = 1; i < 5; i++) q = fused_multiply_add(q, r, kExpCoefficients[i]);
  const float e = 1.0f + fused_multiply_add(r * r, q, r);
  return bits_float(float_bits(e) + (float_bits(t) << 23));  // the low bits of t are n
}

EDGECL_SCALAR_INLINE float log_scalar(float x) {
  if (!(x >= kMinNormal)) return x < 0.0f ? __builtin_nanf("") : x < kMinNormal ? -__builtin_inff() : x;
  if (x == __builtin_inff()) return x;
  const uint32_t above = float_bits(x) - kSqrtHalfBits;
  const int32_t exponent = static_cast<int32_t>(above) >> 23;
  const float f = bits_float((above & 0x007fffffu) + kSqrtHalfBits) - 1.0f;
  const float e = static_cast<float>(exponent);
  float p = kLogCoefficients[0];
  for (int i = 1; i < 8; i++) p = fused_multiply_add(p, f, kLogCoefficients[i]);
  const float f2 = f * f;
  float y = f2 * f * p;
  y = fused_multiply_add(e, kLn2Low, y);
  y = fused_multiply_add(-0.5f, f2, y);
  return fused_multiply_add(e, kLn2High, f + y);
}

// 1 / (1 + exp(-x)), each step rounded.
EDGECL_SCALAR_INLINE float sigmoid_scalar(float x) {
  return 1.0f / (1.0f + exp_scalar(-x));
}

}  // namespace edgecl

#endif  // EDGECL_KERNELS_EXP_LOG_H_
