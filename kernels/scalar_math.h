// The functions of one float under the names that the elementwise formulas call (activation_formulas.h).
// Never here: vectors (simd/).
#ifndef EDGECL_KERNELS_SCALAR_MATH_H_
#define EDGECL_KERNELS_SCALAR_MATH_H_

#include "kernels/activation_formulas.h"

namespace edgecl {

struct ScalarMath {
  typedef float T;
  static T set(float x) { return x; }
  static T fma(T a, T b, T c) { return fused_multiply_add(a, b, c); }
  static T exp(T x) { return exp_scalar(x); }
  static T log(T x) { return log_scalar(x); }
  static T sqrt(T x) { return square_root(x); }
  static T power(T t) { return bits_float(0x3f800000u + (float_bits(t) << 23)); }
  static T sigmoid(T x) { return sigmoid_of<ScalarMath>(x); }
  static T tanh(T x) { return tanh_of<ScalarMath>(x); }
  static T erf(T x) { return erf_of<ScalarMath>(x); }
  static T exp_minus_one(T x) { return exp_minus_one_of<ScalarMath>(x); }
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_SCALAR_MATH_H_
