// What moves elements of a row, and what runs along one axis of a map: argument structs, part of the contract of kernels.h.
// Never here: pools, normalisation.
#ifndef EDGECL_KERNELS_VIEWS_H_
#define EDGECL_KERNELS_VIEWS_H_

#include "kernels/tensor.h"

namespace edgecl {

// --- moving elements ------------------------------------------------------------------------------------------------
// The elements of a batch row are numbered from 0 to C * H * W - 1 as they lie. Output o = (o_0, ..., o_5), in row-major
// order over the sizes, is y[o] = x[offset + sum of o_k * stride_k]; strides may be 0 or negative.
constexpr int kViewRank = 6;
struct StridedForwardArgs {
  Tensor x, y;
  const int32_t* view;  // [2][kViewRank]: sizes, at least 1, their product C * H * W of y; strides, in elements
  int32_t offset;       // all positions lie in x
};
// An element that is read several times gets a chain of additions in ascending order of the outputs, which starts from
// its old value (accumulate) or from +0; one that is not read keeps the start.
struct StridedBackwardArgs {
  Tensor dy, dx;
  const int32_t* view;
  int32_t offset;
  bool accumulate;
};
// y is a grid of up to six axes, in row-major order over its elements; input i is a box in it, all else is `fill`.
// Boxes do not overlap.
struct PlaceForwardArgs {
  Tensor inputs[kMaxInputs];
  int32_t n_inputs;
  Tensor y;
  const int32_t* boxes;  // [1 + 2 * n_inputs][kViewRank]: grid; for each input where it begins, and its sizes
  float fill;
};
struct PlaceBackwardArgs {
  Tensor dinputs[kMaxInputs];  // data null = not wanted
  bool accumulate[kMaxInputs];
  int32_t n_inputs;
  Tensor dy;
  const int32_t* boxes;
};

// --- along an axis --------------------------------------------------------------------------------------------------
enum class Reduction : int32_t { kSum = 0, kMean = 1, kMax = 2 };
// Over H: x [C][H][W] to y [C][1][W]. Sum: one chain of additions, h ascending, from the first element; mean: that,
// divided by H. Max: the first of equals.
struct ReduceForwardArgs {
  Tensor x, y;
  Reduction kind;
};
struct ReduceBackwardArgs {  // sum: dx = dy; mean: dy / H; max: dy where the first maximum is, else +0
  Tensor x, y, dy, dx;       // x and y: of kMax alone
  Reduction kind;
  bool accumulate;
};
// Over W: with m the largest x, y = exp(x - m) / sum of exp(x - m), or its logarithm, (x - m) - log(sum). Maximum and sum
// go into virtual lane w % 16, each lane in ascending w from w = its number (sum: from +0), then the tree.
struct SoftmaxForwardArgs {
  Tensor x, y;
  bool logarithm;
};
// dx = y * (dy - sum of dy * y), one fma each; logarithm: dx = dy - exp(y) * (sum of dy), as one fma.
struct SoftmaxBackwardArgs {
  Tensor y, dy, dx;
  bool logarithm, accumulate;
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_VIEWS_H_
