// Boxes put into a grid, and the gradient.
// Never here: which operators of a source become boxes (the exporter).
// Built for size (-Os): waits for memory.
#include "kernels/simd/view.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

EDGECL_INLINE Walk walk_of(const int32_t* boxes, int i, int64_t lanes) {
  const int32_t *begin = boxes + (1 + 2 * i) * kViewRank, *size = begin + kViewRank;
  int64_t stride[kViewRank], offset = 0, step = 1;
  for (int k = kViewRank - 1; k >= 0; k--) {
    stride[k] = step;
    offset += begin[k] * step;
    step *= boxes[k];
  }
  return Walk(size, stride, offset, lanes);
}

}  // namespace

void place_forward(const PlaceForwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.y.lanes, whole = row_elements(a.y) * lanes;
  int64_t low, high;
  flat_share(whole, part, n_parts, &low, &high);
  const vec fill = vset(a.fill);
  for (int64_t g = 0; g < a.y.groups; g++) {
    float* y = a.y.data + g * whole;
    store_flat(y, low, high, [&](int64_t) EDGECL_INLINE_LAMBDA { return fill; });
    for (int i = 0; i < a.n_inputs; i++) {
      const Tensor& x = a.inputs[i];
      scatter_view(walk_of(a.boxes, i, lanes), x.data + g * row_elements(x) * lanes, y, false, low, high);
    }
  }
}

void place_backward(const PlaceBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.dy.lanes, whole = row_elements(a.dy) * lanes;
  for (int i = 0; i < a.n_inputs; i++) {
    const Tensor& dx = a.dinputs[i];
    if (!dx.data) continue;
    const Walk walk = walk_of(a.boxes, i, lanes);
    for (int64_t g = 0; g < a.dy.groups; g++)
      gather_view(walk, a.dy.data + g * whole, dx.data + g * row_elements(dx) * lanes, a.accumulate[i], part, n_parts);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
