// The larger or smaller of two tensors, element by element, and its gradients.
// Never here: broadcasting (the exporter repeats the smaller tensor).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// The gradient of `own`, which is chosen where it is above the other (maximum) or below it.
EDGECL_INLINE void gradient(const float* own, const float* other, const float* dy, float* to, bool maximum,
                            bool accumulate, int64_t begin, int64_t end) {
  store_once(to, begin, end, [&](int64_t i) EDGECL_INLINE_LAMBDA {
    const vec u = vload(own + i), v = vload(other + i), d = vload(dy + i);
    const vec equal = u == v ? d * 0.5f : vzero();
    const vec r = maximum ? (u > v ? d : equal) : (u < v ? d : equal);
    return accumulate ? vload(to + i) + r : r;
  });
}

}  // namespace

void extremum_forward(const ExtremumForwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  const float *u = a.a, *v = a.b;
  const bool maximum = a.maximum;
  store_once(a.y, begin, end, [&](int64_t i) EDGECL_INLINE_LAMBDA {
    return maximum ? vmax(vload(u + i), vload(v + i)) : vmin(vload(u + i), vload(v + i));
  });
}

void extremum_backward(const ExtremumBackwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  if (a.da) gradient(a.a, a.b, a.dy, a.da, a.maximum, a.accumulate_a, begin, end);
  if (a.db) gradient(a.b, a.a, a.dy, a.db, a.maximum, a.accumulate_b, begin, end);
}

}  // namespace edgecl::EDGECL_LEVEL
