// A view of a row's elements copied, and its gradient.
// Never here: which operators of a source become views (the exporter).
// Built for size (-Os): waits for memory.
#include "kernels/simd/view.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

EDGECL_INLINE Walk walk_of(const int32_t* view, int64_t offset, int64_t lanes) {
  int64_t stride[kViewRank];
  for (int k = 0; k < kViewRank; k++) stride[k] = view[kViewRank + k];
  return Walk(view, stride, offset, lanes);
}

}  // namespace

void strided_forward(const StridedForwardArgs& a, int part, int n_parts, void*) {
  const Walk walk = walk_of(a.view, a.offset, a.x.lanes);
  const int64_t from = row_elements(a.x) * a.x.lanes, to = row_elements(a.y) * a.x.lanes;
  for (int64_t g = 0; g < a.x.groups; g++)
    gather_view(walk, a.x.data + g * from, a.y.data + g * to, false, part, n_parts);
}

void strided_backward(const StridedBackwardArgs& a, int part, int n_parts, void*) {
  const Walk walk = walk_of(a.view, a.offset, a.dx.lanes);
  const int64_t from = row_elements(a.dx) * a.dx.lanes, to = row_elements(a.dy) * a.dx.lanes;
  int64_t low, high;
  flat_share(from, part, n_parts, &low, &high);
  for (int64_t g = 0; g < a.dx.groups; g++) {
    float* dx = a.dx.data + g * from;
    if (!a.accumulate) store_flat(dx, low, high, [&](int64_t) EDGECL_INLINE_LAMBDA { return vzero(); });
    scatter_view(walk, a.dy.data + g * to, dx, true, low, high);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
