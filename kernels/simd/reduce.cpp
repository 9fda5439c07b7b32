// Sum, mean and maximum over the height, and their gradients.
// Never here: other axes (the exporter moves them here), sums over the batch.
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {

void reduce_forward(const ReduceForwardArgs& a, int part, int n_parts, void*) {
  const int64_t height = a.x.height, line = static_cast<int64_t>(a.x.width) * a.x.lanes;
  const bool largest = a.kind == Reduction::kMax, mean = a.kind == Reduction::kMean;
  const vec count = vset(static_cast<float>(height));
  int64_t begin, end;
  share(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts, &begin, &end);
  for (int64_t gc = begin; gc < end; gc++) {
    const float* x = a.x.data + gc * height * line;
    store_once(a.y.data + gc * line, 0, line, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      vec y = vload(x + i);
      if (largest)
        for (int64_t h = 1; h < height; h++) y = vmax(vload(x + h * line + i), y);
      else
        for (int64_t h = 1; h < height; h++) y = y + vload(x + h * line + i);
      return mean ? y / count : y;
    });
  }
}

void reduce_backward(const ReduceBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t height = a.dx.height, line = static_cast<int64_t>(a.dx.width) * a.dx.lanes;
  const bool mean = a.kind == Reduction::kMean, accumulate = a.accumulate;
  const vec count = vset(static_cast<float>(height));
  int64_t begin, end;
  share(static_cast<int64_t>(a.dx.groups) * a.dx.channels, part, n_parts, &begin, &end);
  for (int64_t gc = begin; gc < end; gc++) {
    const float *dy = a.dy.data + gc * line, *y = a.y.data + gc * line, *x = a.x.data + gc * height * line;
    float* dx = a.dx.data + gc * height * line;
    for_once(0, line, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA {
      const vec d = mean ? vload(dy + i) / count : vload(dy + i);
      vec left = d;  // what the first maximum has not taken yet
      for (int64_t h = 0; h < height; h++) {
        const int64_t at = h * line + i;
        vec r = d;
        if (a.kind == Reduction::kMax) {
          const ivec here = vload(x + at) == vload(y + i);
          r = here ? left : vzero();
          left = here ? vzero() : left;
        }
        store(dx + at, accumulate ? vload(dx + at) + r : r);
      }
    });
  }
}

}  // namespace edgecl::EDGECL_LEVEL
