// The elementwise functions: their names, numbers and parameters, part of the contract of kernels.h.
// Never here: formulas (activation_formulas.h), kernels.
#ifndef EDGECL_KERNELS_ACTIVATIONS_H_
#define EDGECL_KERNELS_ACTIVATIONS_H_

#include "kernels/tensor.h"

namespace edgecl {

// X(constant, number, name): the elementwise functions. The numbers are the bundle's and stay for ever; the formulas of
// values and gradients are in kernels/activation_formulas.h.
#define EDGECL_ACTIVATION_LIST(X)                                                           \
  X(kNone, 0, none)                                                                         \
  X(kRelu, 1, relu)            /* max(x, 0) */                                              \
  X(kClip, 2, clip)            /* min(max(x, lo), hi); ReLU6 is clip(0, 6) */               \
  X(kHardSwish, 3, hard_swish) /* x * clip(x/6 + 1/2, 0, 1) */                              \
  X(kSigmoid, 4, sigmoid)                                                                   \
  X(kHardSigmoid, 5, hard_sigmoid) /* clip(lo * x + hi, 0, 1) */                            \
  X(kTanh, 6, tanh)                                                                         \
  X(kGelu, 7, gelu)             /* x * (1 + erf(x / sqrt(2))) / 2 */                        \
  X(kGeluTanh, 8, gelu_tanh)    /* x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2 */ \
  X(kElu, 9, elu)               /* hi * (x > 0 ? x : lo * (exp(x) - 1)): ELU, SELU */       \
  X(kCelu, 10, celu)            /* x > 0 ? x : lo * (exp(x / lo) - 1); lo not 0 */          \
  X(kLeakyRelu, 11, leaky_relu) /* x > 0 ? x : lo * x */                                    \
  X(kSoftplus, 12, softplus)    /* log(1 + exp(x)) */                                       \
  X(kMish, 13, mish)            /* x * tanh(softplus(x)) */                                 \
  X(kSilu, 14, silu)            /* x * sigmoid(lo * x); SiLU has lo = 1 */                  \
  X(kSoftsign, 15, softsign)    /* x / (1 + |x|) */                                         \
  X(kExp, 16, exp)                                                                          \
  X(kLog, 17, log)                                                                          \
  X(kSqrt, 18, sqrt)                                                                        \
  X(kReciprocal, 19, reciprocal)                                                            \
  X(kAbs, 20, abs)                                                                          \
  X(kNegate, 21, negate)                                                                    \
  X(kSquare, 22, square)                                                                    \
  X(kErf, 23, erf)                                                                          \
  X(kReciprocalSqrt, 24, reciprocal_sqrt)                                                   \
  X(kCube, 25, cube)

#define EDGECL_ACTIVATION_NUMBER(constant, number, name) constant = number,
enum class Activation : int32_t { EDGECL_ACTIVATION_LIST(EDGECL_ACTIVATION_NUMBER) };
#undef EDGECL_ACTIVATION_NUMBER
constexpr Activation kLastActivation = Activation::kCube;
// Only kNone/kRelu/kClip may be fused into another kernel: their gradient is read from the output (relu: y > 0; clip: lo
// < y && y < hi). The gradients of these are read from the output too, those of all others from the input.
EDGECL_ALWAYS_INLINE constexpr bool activation_gradient_reads_output(Activation kind) {
  return kind == Activation::kRelu || kind == Activation::kClip || kind == Activation::kSigmoid ||
         kind == Activation::kHardSigmoid || kind == Activation::kTanh || kind == Activation::kExp ||
         kind == Activation::kSqrt || kind == Activation::kReciprocal || kind == Activation::kReciprocalSqrt;
}
struct ActivationSpec {
  Activation kind;
  float lo, hi;
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_ACTIVATIONS_H_
