// Global average pooling and its gradient.
// Never here: pooling over windows (pool.cpp).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"
#include "kernels/simd/transpose.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Means of kVec planes of one lane each, which become the lanes: each sum is one chain.
EDGECL_INLINE vec means_of_planes(const float* x, int64_t positions) {
  vec sum = vzero();
  for (int64_t p = 0; p < positions; p += kVec) {
    vec t[kVec];
    EDGECL_UNROLL
    for (int i = 0; i < kVec; i++) t[i] = vload(x + i * positions + p);
    transpose_registers(t);
    const int64_t left = positions - p;
    EDGECL_UNROLL
    for (int i = 0; i < kVec; i++) sum = i < left ? sum + t[i] : sum;
  }
  return sum / vset(static_cast<float>(positions));
}

}  // namespace

void global_average_pool_forward(const GlobalPoolArgs& a, int part, int n_parts, void*) {
  const int64_t positions = static_cast<int64_t>(a.x.height) * a.x.width, lanes = a.x.lanes;
  int64_t gc, end;
  share(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts, &gc, &end);
  if (lanes == 1) {
    const float* x = a.x.data;
    float* y = a.y.data;
    if (end - gc < kVec) {
      for (; gc < end; gc++) {
        float sum = 0.0f;
        for (int64_t p = 0; p < positions; p++) sum = sum + x[gc * positions + p];
        y[gc] = sum / static_cast<float>(positions);
      }
      return;
    }
    for (; gc < end; gc += kVec) {
      const int64_t first = gc + kVec <= end ? gc : end - kVec;  // some once more
      vstore(y + first, means_of_planes(x + first * positions, positions));
    }
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
