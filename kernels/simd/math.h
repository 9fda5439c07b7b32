// Vector exp, log and sigmoid: lane for lane the bits of the scalar forms in kernels/exp_log.h, where method and range
// are stated.
// Never here: other coefficients or another order of operations than the scalar forms have.
#ifndef EDGECL_KERNELS_SIMD_MATH_H_
#define EDGECL_KERNELS_SIMD_MATH_H_

#include "kernels/exp_log.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

typedef uint32_t uvec __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));

EDGECL_INLINE vec vexp(vec x) {
  const vec magic = vset(kRoundToInteger);
  const vec t = vfma(x, vset(kLog2E), magic);
  const vec n = t - magic;
  const vec r = vfma(n, vset(-kLn2Low), vfma(n, vset(-kLn2High), x));
  vec q = vset(kExpCoefficients[0]);
  for (int i = 1; i < 5; i++) q = vfma(q, r, vset(kExpCoefficients[i]));
  const vec e = 1.0f + vfma(r * r, q, r);
  vec y = (vec)((uvec)e + ((uvec)t << 23));
  y = x > vset(kExpHigh) ? vset(__builtin_inff()) : y;
  y = x < vset(kExpLow) ? vzero() : y;
  return x != x ? x : y;
}

EDGECL_INLINE vec vlog(vec x) {
  const uvec above = (uvec)x - kSqrtHalfBits;
  const ivec exponent = (ivec)above >> 23;
  const vec f = (vec)((above & 0x007fffffu) + kSqrtHalfBits) - 1.0f;
  const vec e = __builtin_convertvector(exponent, vec);
  vec p = vset(kLogCoefficients[0]);
  for (int i = 1; i < 8; i++) p = vfma(p, f, vset(kLogCoefficients[i]));
  const vec f2 = f * f;
  vec y = f2 * f * p;
  y = vfma(e, vset(kLn2Low), y);
  y = vfma(vset(-0.5f), f2, y);
  y = vfma(e, vset(kLn2High), f + y);
  y = x < vset(kMinNormal) ? vset(-__builtin_inff()) : y;
  y = x < vzero() ? vset(__builtin_nanf("")) : y;
  y = x == vset(__builtin_inff()) ? x : y;
  return x != x ? x : y;
}

EDGECL_INLINE vec vsigmoid(vec x) {
  return 1.0f / (1.0f + vexp(-x));
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_MATH_H_
