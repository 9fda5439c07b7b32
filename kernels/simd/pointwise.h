// What the pointwise and normalisation kernels share: fused activations, loops over flat memory, an if-constexpr switch
// on activations.
// Never here: reductions, and kernels.
#ifndef EDGECL_KERNELS_SIMD_POINTWISE_H_
#define EDGECL_KERNELS_SIMD_POINTWISE_H_

#include "kernels/kernel_declarations.h"
#include "kernels/simd/simd.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

template <Activation kKind>
struct ActivationTag {
  static constexpr Activation kind = kKind;
};
// Calls f with the tag of an activation that may be fused (kNone, kRelu, kClip), so that loops are compiled once for
// each.
template <class F>
EDGECL_INLINE void with_fused_activation(Activation kind, F f) {
  if (kind == Activation::kRelu) return f(ActivationTag<Activation::kRelu>());
  if (kind == Activation::kClip) return f(ActivationTag<Activation::kClip>());
  return f(ActivationTag<Activation::kNone>());
}
struct FalseTag {
  static constexpr bool value = false;
};
struct TrueTag {
  static constexpr bool value = true;
};
template <class F>
EDGECL_INLINE void with_flag(bool flag, F f) {
  if (flag) return f(TrueTag());
  return f(FalseTag());
}

template <Activation kKind>
EDGECL_INLINE vec fused_activation(vec z, vec lo, vec hi) {
  if constexpr (kKind == Activation::kRelu) return vmax(z, vzero());
  if constexpr (kKind == Activation::kClip) return vmin(vmax(z, lo), hi);
  return z;
}
// Gradient through a fused activation, read from its output y.
template <Activation kKind>
EDGECL_INLINE vec through_activation(vec y, vec dy, vec lo, vec hi) {
  if constexpr (kKind == Activation::kRelu) return y > vzero() ? dy : vzero();
  if constexpr (kKind == Activation::kClip) return lo < y ? (y < hi ? dy : vzero()) : vzero();
  return dy;
}

// The share of n floats, cut at multiples of 16 so that parts keep to their own cache lines.
EDGECL_INLINE void flat_share(int64_t n, int part, int n_parts, int64_t* begin, int64_t* end) {
  share((n + 15) / 16, part, n_parts, begin, end);
  *begin *= 16;
  *end = *end * 16 < n ? *end * 16 : n;
}

struct FullStore {
  EDGECL_ALWAYS_INLINE void operator()(float* p, vec v) const { vstore(p, v); }
};
struct PartStore {
  int count;
  EDGECL_ALWAYS_INLINE void operator()(float* p, vec v) const { vstore_n(p, v, count); }
};
// Calls body(i, store) for i = begin, begin + kVec, ...; body may load and compute whole vectors at i (slack lanes hold
// anything) and writes through store, which leaves out the lanes beyond `end`.
template <class Body>
EDGECL_INLINE void for_flat(int64_t begin, int64_t end, Body body) {
  int64_t i = begin;
  for (; i + kVec <= end; i += kVec) body(i, FullStore());
  if (i < end) body(i, PartStore{static_cast<int>(end - i)});
}

// out[i] = value(i), which may read out at the same place.
template <class Value>
EDGECL_INLINE void store_flat(float* out, int64_t begin, int64_t end, Value value) {
  for_flat(begin, end, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA { store(out + i, value(i)); });
}

// The same with the body once, and a choice at each store: for bodies that are long, or never the most of a step.
struct AnyStore {
  int64_t count;
  EDGECL_ALWAYS_INLINE void operator()(float* p, vec v) const {
    if (count >= kVec)
      vstore(p, v);
    else
      vstore_n(p, v, static_cast<int>(count));
  }
};
template <class Body>
EDGECL_INLINE void for_once(int64_t begin, int64_t end, Body body) {
  for (int64_t i = begin; i < end; i += kVec) body(i, AnyStore{end - i});
}
template <class Value>
EDGECL_INLINE void store_once(float* out, int64_t begin, int64_t end, Value value) {
  for_once(begin, end, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA { store(out + i, value(i)); });
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_POINTWISE_H_
