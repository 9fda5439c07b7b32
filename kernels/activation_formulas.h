// The elementwise functions and their gradients, one text for scalars and vectors.
// Never here: loops, and exp, log and sigmoid (kernels/exp_log.h, simd/math.h).
#ifndef EDGECL_KERNELS_ACTIVATION_FORMULAS_H_
#define EDGECL_KERNELS_ACTIVATION_FORMULAS_H_

#include "kernels/exp_log.h"
#include "kernels/kernels.h"

// M names a type T, float or a vector of them, and what differs between the two: set(float), fma(a, b, c), exp, log, sqrt,
// and power(t), 2^n of t = n + kRoundToInteger. What several functions are made of they call through M too, so that it is
// there once: sigmoid, tanh, erf and exp_minus_one are to return the formulas of these names below.
//
// Polynomials minimise the largest relative error of the result (Remez exchange, 1934), computed for this file with 40
// digits: erf(x) = x + x p(x^2), |x| < 0.9375, relative error of the polynomial 1.9e-8; 1 - exp(q(|x|)) above, 1.5e-9.
// Errors measured against the double functions (tests/kernels/math_cases.cpp): see kernels/README.md.
namespace edgecl {

constexpr float kErfCoefficients[] = {-0.000591942513821f, 0.0049791319952f, -0.0267570362548f,
                                      0.112815525279f,     -0.376124686427f, 0.128379145813f};
constexpr float kErfTailCoefficients[] = {0.000194772298479f, -0.00303176895002f, 0.0221811902078f,   -0.103836514191f,
                                          -0.637290853097f,   -1.12761095985f,    -0.000211370862879f};
constexpr float kErfBorder = 0.9375f, kErfOne = 4.0f;  // where the second form begins; where erf rounds to 1
constexpr float kTanhOne = 9.1f;                       // where tanh rounds to 1
constexpr float kSqrtHalf = 0.707106769f;
constexpr float kInverseSqrtTwoPi = 0.398942292f, kTwoOverSqrtPi = 1.12837923f;
constexpr float kGeluScale = 0.797884583f, kGeluCube = 0.0447149985f;  // sqrt(2 / pi), 0.044715

#define EDGECL_FORMULA \
  template <class M>   \
  static inline __attribute__((always_inline))

EDGECL_FORMULA typename M::T magnitude(typename M::T x) {
  return x < M::set(0.0f) ? -x : x;
}
EDGECL_FORMULA typename M::T with_sign(typename M::T positive, typename M::T x) {
  return x < M::set(0.0f) ? -positive : positive;
}

// exp(x) - 1 for x of -87 to 80, beyond -87 as there: 2^n (1 + p) - 1 as one fused operation.
EDGECL_FORMULA typename M::T exp_minus_one_of(typename M::T x) {
  typedef typename M::T T;
  x = x < M::set(kExpLow) ? M::set(kExpLow) : x;
  const T t = M::fma(x, M::set(kLog2E), M::set(kRoundToInteger));
  const T n = t - M::set(kRoundToInteger);
  const T r = M::fma(n, M::set(-kLn2Low), M::fma(n, M::set(-kLn2High), x));
  T q = M::set(kExpCoefficients[0]);
  for (int i = 1; i < 5; i++) q = M::fma(q, r, M::set(kExpCoefficients[i]));
  const T power = M::power(t);
  return M::fma(M::fma(r * r, q, r), power, power - M::set(1.0f));
}

// (exp(2x) - 1) / (exp(2x) + 1).
EDGECL_FORMULA typename M::T tanh_of(typename M::T x) {
  typedef typename M::T T;
  T a = magnitude<M>(x);
  a = a > M::set(kTanhOne) ? M::set(kTanhOne) : a;
  const T e = M::exp_minus_one(a + a);
  return with_sign<M>(e / (e + M::set(2.0f)), x);
}

EDGECL_FORMULA typename M::T erf_of(typename M::T x) {
  typedef typename M::T T;
  const T s = x * x;
  T p = M::set(kErfCoefficients[0]);
  for (int i = 1; i < 6; i++) p = M::fma(p, s, M::set(kErfCoefficients[i]));
  T a = magnitude<M>(x);
  const T near = M::fma(p, x, x);
  const T clipped = a > M::set(kErfOne) ? M::set(kErfOne) : a;
  T q = M::set(kErfTailCoefficients[0]);
  for (int i = 1; i < 7; i++) q = M::fma(q, clipped, M::set(kErfTailCoefficients[i]));
  const T far = with_sign<M>(M::set(1.0f) - M::exp(q), x);
  return a < M::set(kErfBorder) ? near : far;
}

EDGECL_FORMULA typename M::T sigmoid_of(typename M::T x) {
  return M::set(1.0f) / (M::set(1.0f) + M::exp(-x));
}

// max(x, 0) + log(1 + e), e = exp(-|x|); what is lost of e in 1 + e is added again.
EDGECL_FORMULA typename M::T softplus_of(typename M::T x) {
  typedef typename M::T T;
  const T e = M::exp(-magnitude<M>(x)), u = M::set(1.0f) + e;
  const T logarithm = M::log(u) + (e - (u - M::set(1.0f))) / u;
  return (x > M::set(0.0f) ? x : M::set(0.0f)) + logarithm;
}

// tanh(softplus(x)) = n / (n + 2) with n = e (e + 2), e = exp(x); 1 from x = 20 on.
EDGECL_FORMULA typename M::T tanh_softplus_of(typename M::T x) {
  typedef typename M::T T;
  const T e = M::exp(x > M::set(20.0f) ? M::set(20.0f) : x);
  const T n = e * (e + M::set(2.0f));
  return n / (n + M::set(2.0f));
}

// What gelu_tanh takes the tanh of.
EDGECL_FORMULA typename M::T gelu_argument(typename M::T x) {
  return M::set(kGeluScale) * M::fma(M::set(kGeluCube) * x * x, x, x);
}

template <class M, Activation kKind>
static inline __attribute__((always_inline)) typename M::T activation_value(typename M::T x, typename M::T lo,
                                                                            typename M::T hi) {
  typedef typename M::T T;
  const T zero = M::set(0.0f), one = M::set(1.0f), half = M::set(0.5f);
  if constexpr (kKind == Activation::kRelu) return x > zero ? x : zero;
  if constexpr (kKind == Activation::kClip) {
    const T above = x > lo ? x : lo;
    return above < hi ? above : hi;
  }
  if constexpr (kKind == Activation::kHardSwish || kKind == Activation::kHardSigmoid) {
    const T line = kKind == Activation::kHardSwish ? M::fma(x, M::set(1.0f / 6.0f), half) : M::fma(lo, x, hi);
    const T above = line > zero ? line : zero;
    const T gate = above < one ? above : one;
    return kKind == Activation::kHardSwish ? x * gate : gate;
  }
  if constexpr (kKind == Activation::kSigmoid) return M::sigmoid(x);
  if constexpr (kKind == Activation::kTanh) return M::tanh(x);
  if constexpr (kKind == Activation::kGelu) return half * x * (one + M::erf(x * M::set(kSqrtHalf)));
  if constexpr (kKind == Activation::kGeluTanh) return half * x * (one + M::tanh(gelu_argument<M>(x)));
  if constexpr (kKind == Activation::kElu) return hi * (x > zero ? x : lo * M::exp_minus_one(x > zero ? zero : x));
  if constexpr (kKind == Activation::kCelu) {
    const T part = x / lo;
    return x > zero ? x : lo * M::exp_minus_one(part > M::set(80.0f) ? M::set(80.0f) : part);
  }
  if constexpr (kKind == Activation::kLeakyRelu) return x > zero ? x : lo * x;
  if constexpr (kKind == Activation::kSoftplus) return softplus_of<M>(x);
  if constexpr (kKind == Activation::kMish) return x * tanh_softplus_of<M>(x);
  if constexpr (kKind == Activation::kSilu) return x * M::sigmoid(lo * x);
  if constexpr (kKind == Activation::kSoftsign) return x / (one + magnitude<M>(x));
  if constexpr (kKind == Activation::kExp) return M::exp(x);
  if constexpr (kKind == Activation::kLog) return M::log(x);
  if constexpr (kKind == Activation::kSqrt) return M::sqrt(x);
  if constexpr (kKind == Activation::kReciprocal) return one / x;
  if constexpr (kKind == Activation::kAbs) return magnitude<M>(x);
  if constexpr (kKind == Activation::kNegate) return -x;
  if constexpr (kKind == Activation::kSquare) return x * x;
  if constexpr (kKind == Activation::kErf) return M::erf(x);
  if constexpr (kKind == Activation::kReciprocalSqrt) return one / M::sqrt(x);
  if constexpr (kKind == Activation::kCube) return x * x * x;
  return x;
}

// s is y where activation_gradient_reads_output, else x.
template <class M, Activation kKind>
static inline __attribute__((always_inline)) typename M::T activation_gradient(typename M::T s, typename M::T dy,
                                                                               typename M::T lo, typename M::T hi) {
  typedef typename M::T T;
  const T zero = M::set(0.0f), one = M::set(1.0f), half = M::set(0.5f);
  if constexpr (kKind == Activation::kRelu) return s > zero ? dy : zero;
  if constexpr (kKind == Activation::kClip) return lo < s ? (s < hi ? dy : zero) : zero;
  if constexpr (kKind == Activation::kHardSwish) {
    const T inner = s < M::set(3.0f) ? dy * M::fma(s, M::set(1.0f / 3.0f), half) : dy;
    return s > M::set(-3.0f) ? inner : zero;
  }
  if constexpr (kKind == Activation::kSigmoid) return dy * (s * (one - s));
  if constexpr (kKind == Activation::kHardSigmoid) return s > zero ? (s < one ? dy * lo : zero) : zero;
  if constexpr (kKind == Activation::kTanh) return dy * (one - s * s);
  if constexpr (kKind == Activation::kGelu) {
    const T area = half * (one + M::erf(s * M::set(kSqrtHalf)));
    const T density = M::set(kInverseSqrtTwoPi) * M::exp(M::set(-0.5f) * s * s);
    return dy * M::fma(s, density, area);
  }
  if constexpr (kKind == Activation::kGeluTanh) {
    const T t = M::tanh(gelu_argument<M>(s));
    const T slope = M::set(kGeluScale) * M::fma(M::set(3.0f * kGeluCube) * s, s, one);
    return dy * M::fma(half * s * (one - t * t), slope, half * (one + t));
  }
  if constexpr (kKind == Activation::kElu) return dy * (s > zero ? hi : hi * lo * M::exp(s));
  if constexpr (kKind == Activation::kCelu) return dy * (s > zero ? one : M::exp(s / lo));
  if constexpr (kKind == Activation::kLeakyRelu) return s > zero ? dy : lo * dy;
  if constexpr (kKind == Activation::kSoftplus) return dy * M::sigmoid(s);
  if constexpr (kKind == Activation::kMish) {
    const T t = tanh_softplus_of<M>(s);
    return dy * M::fma(s * (one - t * t), M::sigmoid(s), t);
  }
  if constexpr (kKind == Activation::kSilu) {
    const T gate = M::sigmoid(lo * s);
    return dy * M::fma(lo * s * gate, one - gate, gate);
  }
  if constexpr (kKind == Activation::kSoftsign) {
    const T below = one + magnitude<M>(s);
    return dy / (below * below);
  }
  if constexpr (kKind == Activation::kExp) return dy * s;
  if constexpr (kKind == Activation::kLog) return dy / s;
  if constexpr (kKind == Activation::kSqrt) return dy * (half / s);
  if constexpr (kKind == Activation::kReciprocal) return -dy * (s * s);
  if constexpr (kKind == Activation::kAbs) return s > zero ? dy : s < zero ? -dy : zero;
  if constexpr (kKind == Activation::kNegate) return -dy;
  if constexpr (kKind == Activation::kSquare) return dy * (s + s);
  if constexpr (kKind == Activation::kErf) return dy * (M::set(kTwoOverSqrtPi) * M::exp(-s * s));
  if constexpr (kKind == Activation::kReciprocalSqrt) return M::set(-0.5f) * dy * (s * s * s);
  if constexpr (kKind == Activation::kCube) return dy * (M::set(3.0f) * s * s);
  return dy;
}

#undef EDGECL_FORMULA

}  // namespace edgecl

#endif  // EDGECL_KERNELS_ACTIVATION_FORMULAS_H_
