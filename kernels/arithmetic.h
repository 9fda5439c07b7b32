// Fused multiply-add and square root: instructions where the target has them, else exact functions of our own.
// Never here: calls of the C library, whose fmaf and sqrtf a bare-metal program need not have.
#ifndef EDGECL_KERNELS_ARITHMETIC_H_
#define EDGECL_KERNELS_ARITHMETIC_H_

namespace edgecl {

// a * b + c with one rounding, and the root rounded to nearest, for every float (kernels/arithmetic.cpp).
float fused_by_parts(float a, float b, float c);
float root_by_bits(float x);
// The first by the instruction where this CPU has one: for code that is built for every x86-64.
float fused_as_cpu_can(float a, float b, float c);

static inline __attribute__((always_inline)) float fused_multiply_add(float a, float b, float c) {
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA) || defined(__riscv_flen)
  return __builtin_fmaf(a, b, c);
#elif defined(__x86_64__)
  return fused_as_cpu_can(a, b, c);
#else
  return fused_by_parts(a, b, c);
#endif
}

static inline __attribute__((always_inline)) float square_root(float x) {
#if defined(__SSE2__) || defined(__aarch64__) || (defined(__ARM_FP) && (__ARM_FP & 4)) || defined(__riscv_flen)
  return __builtin_sqrtf(x);
#else
  return root_by_bits(x);
#endif
}

}  // namespace edgecl

#endif  // EDGECL_KERNELS_ARITHMETIC_H_
