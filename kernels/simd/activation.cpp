// Pointwise activations and their gradients over flat memory.
// Never here: activations fused into other kernels (pointwise.h), and the formulas (kernels/activation_formulas.h).
// Built for size (-Os): what several functions share is called, and the calls of neighbouring vectors overlap.
#include "kernels/activation_formulas.h"
#include "kernels/simd/math.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

struct InlineMath {
  typedef vec T;
  EDGECL_ALWAYS_INLINE static T set(float x) { return vset(x); }
  EDGECL_ALWAYS_INLINE static T fma(T a, T b, T c) { return vfma(a, b, c); }
  EDGECL_ALWAYS_INLINE static T sqrt(T x) { return vsqrt(x); }
  EDGECL_ALWAYS_INLINE static T power(T t) { return (vec)(0x3f800000u + ((uvec)t << 23)); }
  EDGECL_ALWAYS_INLINE static T exp(T x) { return vexp(x); }
  EDGECL_ALWAYS_INLINE static T exp_minus_one(T x) { return exp_minus_one_of<InlineMath>(x); }
};

// What several functions are made of is called, not inlined: less code.
#define EDGECL_SHARED static __attribute__((noinline))
struct VectorMath : InlineMath {
  EDGECL_SHARED T exp(T x) { return vexp(x); }
  EDGECL_SHARED T log(T x) { return vlog(x); }
  EDGECL_SHARED T exp_minus_one(T x) { return exp_minus_one_of<InlineMath>(x); }
  EDGECL_SHARED T sigmoid(T x) { return sigmoid_of<InlineMath>(x); }
  EDGECL_SHARED T tanh(T x) { return tanh_of<InlineMath>(x); }
  EDGECL_SHARED T erf(T x) { return erf_of<VectorMath>(x); }
};
#undef EDGECL_SHARED
// Forward, sigmoid is there for two functions alone, of which many networks take one.
struct ForwardMath : VectorMath {
  EDGECL_ALWAYS_INLINE static T sigmoid(T x) { return sigmoid_of<InlineMath>(x); }
};

template <class F>
EDGECL_INLINE void with_activation(Activation kind, F f) {
  switch (kind) {
#define EDGECL_KIND(constant, number, name) \
  case Activation::constant:                \
    return f(ActivationTag<Activation::constant>());
    EDGECL_ACTIVATION_LIST(EDGECL_KIND)
#undef EDGECL_KIND
  }
}

}  // namespace

void activation_forward(const ActivationForwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  with_activation(a.activation.kind, [&](auto tag) {
    const float* x = a.x;
    store_once(a.y, begin, end, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      return activation_value<ForwardMath, decltype(tag)::kind>(vload(x + i), lo, hi);
    });
  });
}

void activation_backward(const ActivationBackwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  const bool accumulate = a.accumulate;
  with_activation(a.activation.kind, [&](auto tag) {
    constexpr Activation kKind = decltype(tag)::kind;
    const float *dy = a.dy, *source = kKind == Activation::kNone                ? a.dy
                                      : activation_gradient_reads_output(kKind) ? a.y
                                                                                : a.x;
    float* dx = a.dx;
    store_once(dx, begin, end, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      const vec r = activation_gradient<VectorMath, kKind>(vload(source + i), vload(dy + i), lo, hi);
      return accumulate ? vload(dx + i) + r : r;
    });
  });
}

}  // namespace edgecl::EDGECL_LEVEL
