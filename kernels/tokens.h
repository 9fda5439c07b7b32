// What transformers are made of: layer normalisation, products of two tensors. Argument structs, part of the contract of
// kernels.h.
// Never here: softmax and views (views.h), layers with weights.
#ifndef EDGECL_KERNELS_TOKENS_H_
#define EDGECL_KERNELS_TOKENS_H_

#include "kernels/tensor.h"

namespace edgecl {

// --- layer normalisation over the channels of each position of each batch row -----------------------------------------
// mean = (sum of x) / C, d = x - mean, rstd = 1 / sqrt((sum of d * d) / C + eps); not centred (RMS): mean is 0, d = x.
// n = d * rstd; y = n, n * gamma, n + beta or fma(n, gamma, beta), as far as these are there. Sums over the channels as
// those of L2 normalisation: channel c in virtual lane c % 16, then the tree.
struct LayerNormForwardArgs {
  Tensor x, y;
  const float *gamma, *beta;  // [C], or null
  float eps;
  bool centred;
  float *mean, *rstd;  // written, [G][H][W][L], or null: not kept. Not centred: mean stays as it is
};
// t = dy * gamma (dy where gamma is null), n as above; m = (sum of t) / C, v = (sum of t * n) / C, one fma each;
// dx = fma(-v, n, t - m) * rstd, not centred: fma(-v, n, t) * rstd.
struct LayerNormBackwardDataArgs {
  Tensor x, dy, dx;
  const float* gamma;
  const float *mean, *rstd;  // those of the forward pass; mean unread where not centred
  bool centred, accumulate;
};
// dgamma = sum of dy * n (one fma each), dbeta = sum of dy, as per-channel reductions sum.
struct LayerNormBackwardWeightArgs {
  Tensor x, dy;
  const float *mean, *rstd;
  bool centred;
  float *dgamma, *dbeta;  // [C], overwritten, or null
};

// --- products of two tensors of a row -----------------------------------------------------------------------------------
// The elements of a batch row are numbered as they lie. With six axes of these sizes, an index o of those that y has (its
// stride is not 0) and an index r of the others:
//   y[y_offset + o . y_stride] = scale * (sum over r of a[a_offset + (o, r) . a_stride] * b[b_offset + (o, r) . b_stride]),
// one chain of fused multiply-adds from +0, r ascending in row-major order; then one product, and with `accumulate` one
// addition to the old value. A matrix product has axes (batch, batch, batch, m, n, k), a no n, b no m and y no k; its
// gradients are the same sum with y in the place of a or b.
constexpr int kMatmulAxes = 6;
struct MatmulArgs {
  Tensor a, b, y;
  const int32_t *size, *a_stride, *b_stride, *y_stride;  // [kMatmulAxes], strides at least 0, in elements
  int32_t a_offset, b_offset;                            // all positions lie in their tensors
  int32_t y_offset;                                      // those of y differ from each other
  float scale;
  bool accumulate;
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_TOKENS_H_
