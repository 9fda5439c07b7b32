// Pointwise activations and their gradients over flat memory.
// Never here: activations fused into other kernels (pointwise.h holds those).
// Built for size (-Os): waits for memory.
#include "kernels/simd/math.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

template <Activation kKind>
EDGECL_INLINE vec value(vec x, vec lo, vec hi) {
  if constexpr (kKind == Activation::kHardSwish)
    return x * vmin(vmax(vfma(x, vset(1.0f / 6.0f), vset(0.5f)), vzero()), vset(1.0f));
  if constexpr (kKind == Activation::kSigmoid) return vsigmoid(x);
  if constexpr (kKind == Activation::kHardSigmoid) return vmin(vmax(vfma(lo, x, hi), vzero()), vset(1.0f));
  return fused_activation<kKind>(x, lo, hi);
}

// `s` is what the gradient is read from: x for kHardSwish, y for the others.
template <Activation kKind>
EDGECL_INLINE vec gradient(vec s, vec dy, vec lo, vec hi) {
  if constexpr (kKind == Activation::kHardSwish) {
    const vec inner = s < vset(3.0f) ? dy * vfma(s, vset(1.0f / 3.0f), vset(0.5f)) : dy;
    return s > vset(-3.0f) ? inner : vzero();
  }
  if constexpr (kKind == Activation::kSigmoid) return dy * (s * (1.0f - s));
  if constexpr (kKind == Activation::kHardSigmoid) return s > vzero() ? (s < vset(1.0f) ? dy * lo : vzero()) : vzero();
  return through_activation<kKind>(s, dy, lo, hi);
}

template <class F>
EDGECL_INLINE void with_activation(Activation kind, F f) {
  if (kind == Activation::kHardSwish) return f(ActivationTag<Activation::kHardSwish>());
  if (kind == Activation::kSigmoid) return f(ActivationTag<Activation::kSigmoid>());
  if (kind == Activation::kHardSigmoid) return f(ActivationTag<Activation::kHardSigmoid>());
  return with_fused_activation(kind, f);
}

}  // namespace

void activation_forward(const ActivationForwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  with_activation(a.activation.kind, [&](auto tag) {
    const float* x = a.x;
    store_flat(a.y, begin, end,
               [&](int64_t i) EDGECL_INLINE_LAMBDA { return value<decltype(tag)::kind>(vload(x + i), lo, hi); });
  });
}

void activation_backward(const ActivationBackwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  with_activation(a.activation.kind, [&](auto tag) {
    constexpr Activation kKind = decltype(tag)::kind;
    const float *dy = a.dy, *source = kKind == Activation::kNone ? a.dy : kKind == Activation::kHardSwish ? a.x : a.y;
    with_flag(a.accumulate, [&](auto accumulate) {
      float* dx = a.dx;
      store_flat(dx, begin, end, [&](int64_t i) EDGECL_INLINE_LAMBDA {
        const vec r = gradient<kKind>(vload(source + i), vload(dy + i), lo, hi);
        return decltype(accumulate)::value ? vload(dx + i) + r : r;
      });
    });
  });
}

}  // namespace edgecl::EDGECL_LEVEL
