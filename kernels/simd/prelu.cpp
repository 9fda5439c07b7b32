// A rectifier with a slope a channel, and its gradients.
// Never here: one slope for all channels (activation.cpp).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {

void prelu_forward(const PreluForwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane();
  int64_t begin, end;
  share(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts, &begin, &end);
  for (int64_t gc = begin; gc < end; gc++) {
    const vec slope = vset(a.slope[gc % a.x.channels]);
    const float* from = a.x.data + gc * plane;
    store_once(a.y.data + gc * plane, 0, plane, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      const vec x = vload(from + i);
      return x > vzero() ? x : slope * x;
    });
  }
}

void prelu_backward(const PreluBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.dy.plane(), channels = a.dy.channels;
  const bool accumulate = a.accumulate;
  int64_t begin, end;
  share(channels, part, n_parts, &begin, &end);
  for (int64_t c = begin; c < end; c++) {
    const vec slope = vset(a.slope[c]);
    float sum[kVirtualLanes] = {};
    for (int64_t g = 0; g < a.dy.groups; g++) {
      const int64_t base = (g * channels + c) * plane;
      const float *from = a.x.data + base, *dy = a.dy.data + base;
      if (a.dslope) {
        for_once(0, plane, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA {
          const vec x = vload(from + i);
          float* acc = sum + i % kVirtualLanes;
          store(acc, vfma(vload(dy + i), x > vzero() ? vzero() : x, vload(acc)));
        });
      }
      if (!a.dx.data) continue;
      float* dx = a.dx.data + base;
      store_once(dx, 0, plane, [&](int64_t i) EDGECL_INLINE_LAMBDA {
        const vec d = vload(dy + i), r = vload(from + i) > vzero() ? d : slope * d;
        return accumulate ? vload(dx + i) + r : r;
      });
    }
    if (a.dslope) a.dslope[c] = tree16(load16(sum));
  }
}

}  // namespace edgecl::EDGECL_LEVEL
