// Fused multiply-add and square root, of float and of double: instructions where the target has them, else exact
// functions of our own.
// Never here: calls of the C library, whose fma and sqrt a bare-metal program need not have.
#ifndef EDGECL_KERNELS_ARITHMETIC_H_
#define EDGECL_KERNELS_ARITHMETIC_H_

namespace edgecl {

// a * b + c with one rounding, and the root rounded to nearest, for every float (kernels/arithmetic.cpp) and every
// double (kernels/arithmetic_double.cpp).
float fused_by_parts(float a, float b, float c);
double fused_by_parts(double a, double b, double c);
float root_by_bits(float x);
double root_by_bits(double x);
// The first by the instruction where this CPU has one: for code that is built for every x86-64.
float fused_as_cpu_can(float a, float b, float c);
double fused_as_cpu_can(double a, double b, double c);

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

// Many a small chip has instructions for float alone.
#if defined(__aarch64__) || (defined(__ARM_FP) && (__ARM_FP & 8)) || (defined(__riscv_flen) && __riscv_flen >= 64)
#define EDGECL_DOUBLE_INSTRUCTIONS
#endif

static inline __attribute__((always_inline)) double fused_multiply_add(double a, double b, double c) {
#if defined(__FMA__) || (defined(EDGECL_DOUBLE_INSTRUCTIONS) && (defined(__ARM_FEATURE_FMA) || defined(__riscv_flen)))
  return __builtin_fma(a, b, c);
#elif defined(__x86_64__)
  return fused_as_cpu_can(a, b, c);
#else
  return fused_by_parts(a, b, c);
#endif
}

static inline __attribute__((always_inline)) double square_root(double x) {
#if defined(__SSE2__) || defined(EDGECL_DOUBLE_INSTRUCTIONS)
  return __builtin_sqrt(x);
#else
  return root_by_bits(x);
#endif
}

}  // namespace edgecl

#endif  // EDGECL_KERNELS_ARITHMETIC_H_
