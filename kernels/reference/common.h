// Small scalar helpers that the reference kernels share: shares of work, activations, virtual lanes.
// Never here: loops over a tensor, and anything that a SIMD kernel includes.
#ifndef EDGECL_KERNELS_REFERENCE_COMMON_H_
#define EDGECL_KERNELS_REFERENCE_COMMON_H_

#include "kernels/exp_log.h"
#include "kernels/kernel_declarations.h"

EDGECL_DECLARE_KERNELS(reference)

namespace edgecl::reference {

struct Share {
  int64_t begin, end;
};
// The share of `n` items that part `part` of `n_parts` computes: contiguous, in order.
static inline Share share_of(int64_t n, int part, int n_parts) {
  return {n * part / n_parts, n * (part + 1) / n_parts};
}

static inline float fused(float a, float b, float c) {
  return fused_multiply_add(a, b, c);
}
static inline double fused(double a, double b, double c) {
  return fused_multiply_add(a, b, c);
}
// A NaN in x gives y, as in the SIMD forms.
static inline float larger(float x, float y) {
  return x > y ? x : y;
}
static inline float smaller(float x, float y) {
  return x < y ? x : y;
}

// Offset of element (g, c, h, w, l).
static inline int64_t offset_of(const Tensor& t, int64_t g, int64_t c, int64_t h, int64_t w, int64_t l) {
  return (((g * t.channels + c) * t.height + h) * t.width + w) * t.lanes + l;
}

// An activation that is fused into another kernel.
static inline float activate(const ActivationSpec& a, float x) {
  if (a.kind == Activation::kRelu) return larger(x, 0.0f);
  if (a.kind == Activation::kClip) return smaller(larger(x, a.lo), a.hi);
  return x;
}

// Gradient through an activation that was fused into another kernel: it is read from the output y.
static inline float through_activation(const ActivationSpec& a, float y, float dy) {
  if (a.kind == Activation::kRelu) return y > 0.0f ? dy : 0.0f;
  if (a.kind == Activation::kClip) return a.lo < y && y < a.hi ? dy : 0.0f;
  return dy;
}

// `The tree` over n lanes (a power of two), in place.
static inline float tree(float* t, int n = kVirtualLanes) {
  for (int s = n / 2; s; s /= 2)
    for (int i = 0; i < s; i++) t[i] = t[i] + t[i + s];
  return t[0];
}

}  // namespace edgecl::reference

#endif  // EDGECL_KERNELS_REFERENCE_COMMON_H_
