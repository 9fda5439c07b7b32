// Global average pooling and its gradient.
// Never here: pooling over windows (pool.cpp).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kSidePlanes = 8;  // of one lane each: scalar chains that run side by side

template <int kCount>
EDGECL_INLINE void one_lane_means(const GlobalPoolArgs& a, int64_t gc, int64_t positions) {
  const float* x = a.x.data + gc * positions;
  float sum[kCount] = {};
  for (int64_t p = 0; p < positions; p++)
    for (int n = 0; n < kCount; n++) sum[n] = sum[n] + x[n * positions + p];
  for (int n = 0; n < kCount; n++) a.y.data[gc + n] = sum[n] / static_cast<float>(positions);
}

}  // namespace

void global_average_pool_forward(const GlobalPoolArgs& a, int part, int n_parts, void*) {
  const int64_t positions = static_cast<int64_t>(a.x.height) * a.x.width, lanes = a.x.lanes;
  int64_t gc, end;
  share(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts, &gc, &end);
  if (lanes == 1) {
    for (; gc + kSidePlanes <= end; gc += kSidePlanes) one_lane_means<kSidePlanes>(a, gc, positions);
    for (; gc < end; gc++) one_lane_means<1>(a, gc, positions);
    return;
  }
  const vec count = vset(static_cast<float>(positions));
  for (; gc < end; gc++) {
    const float* x = a.x.data + gc * positions * lanes;
    store_flat(a.y.data + gc * lanes, 0, lanes, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      vec sum = vzero();
      for (int64_t p = 0; p < positions; p++) sum = sum + vload(x + p * lanes + i);
      return sum / count;
    });
  }
}

void global_average_pool_backward(const GlobalPoolBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t positions = static_cast<int64_t>(a.dx.height) * a.dx.width, lanes = a.dx.lanes;
  const vec count = vset(static_cast<float>(positions));
  const bool accumulate = a.accumulate;
  int64_t gc, end;
  share(static_cast<int64_t>(a.dx.groups) * a.dx.channels, part, n_parts, &gc, &end);
  for (; gc < end; gc++) {
    const float* dy = a.dy.data + gc * lanes;
    float* dx = a.dx.data + gc * positions * lanes;
    if (lanes == 1) {
      const vec d = vset(*dy) / count;
      store_flat(dx, 0, positions, [&](int64_t i) EDGECL_INLINE_LAMBDA { return accumulate ? vload(dx + i) + d : d; });
      continue;
    }
    for_flat(0, lanes, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA {
      const vec d = vload(dy + i) / count;
      for (int64_t p = 0; p < positions; p++) {
        float* to = dx + p * lanes + i;
        store(to, accumulate ? vload(to) + d : d);
      }
    });
  }
}

}  // namespace edgecl::EDGECL_LEVEL
