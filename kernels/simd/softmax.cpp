// Softmax over the width, its logarithm, and their gradients.
// Never here: the loss over classes (loss.cpp).
// Built for size (-Os): a few per cent of a step at most.
#include "kernels/simd/math.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Called, not inlined: less code.
static __attribute__((noinline)) vec exp_of(vec x) {
  return vexp(x);
}
static __attribute__((noinline)) vec log_of(vec x) {
  return vlog(x);
}

// A row of one lane: its elements lie together, and the 16 virtual lanes are those of registers.
struct Together {
  const int64_t width;
  template <class F>
  EDGECL_ALWAYS_INLINE void each(F f) const {
    for_once(0, width, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA { f(i, i % kVirtualLanes, store); });
  }
  EDGECL_ALWAYS_INLINE static vec total(float* lanes) { return vset(tree16(load16(lanes))); }
  EDGECL_ALWAYS_INLINE static vec most(float* lanes) {
    for (int s = kVirtualLanes / 2; s; s /= 2)
      for (int i = 0; i < s; i++) lanes[i] = lanes[i + s] > lanes[i] ? lanes[i + s] : lanes[i];
    return vset(lanes[0]);
  }
};

// kVec lanes side by side, each a row of its own: virtual lane k of all of them is the k-th vector.
struct SideBySide {
  const int64_t width, lanes, first;
  const int count;
  template <class F>
  EDGECL_ALWAYS_INLINE void each(F f) const {
    for (int64_t w = 0; w < width; w++) {
      const int64_t i = w * lanes + first, k = w % kVirtualLanes * kVec;
      if (count == kVec)
        f(i, k, FullStore());
      else
        f(i, k, PartStore{count});
    }
  }
  EDGECL_ALWAYS_INLINE static vec total(float* sums) {
    for (int s = kVirtualLanes / 2; s; s /= 2)
      for (int i = 0; i < s; i++) vstore(sums + i * kVec, vload(sums + i * kVec) + vload(sums + (i + s) * kVec));
    return vload(sums);
  }
  EDGECL_ALWAYS_INLINE static vec most(float* sums) {
    for (int s = kVirtualLanes / 2; s; s /= 2)
      for (int i = 0; i < s; i++) vstore(sums + i * kVec, vmax(vload(sums + (i + s) * kVec), vload(sums + i * kVec)));
    return vload(sums);
  }
};

EDGECL_INLINE void set_lanes(float* lanes, float x) {
  for (int i = 0; i < kVirtualLanes * kVec; i += kVec) vstore(lanes + i, vset(x));
}

template <class Row>
EDGECL_INLINE void forward_row(const Row& row, const float* x, float* y, bool logarithm) {
  float lanes[kVirtualLanes * kVec];
  set_lanes(lanes, -__builtin_inff());
  row.each([&](int64_t i, int64_t k, auto store)
               EDGECL_INLINE_LAMBDA { store(lanes + k, vmax(vload(x + i), vload(lanes + k))); });
  const vec most = Row::most(lanes);
  set_lanes(lanes, 0.0f);
  row.each([&](int64_t i, int64_t k, auto store) EDGECL_INLINE_LAMBDA {
    const vec e = exp_of(vload(x + i) - most);
    if (!logarithm) store(y + i, e);
    store(lanes + k, vload(lanes + k) + e);
  });
  const vec total = Row::total(lanes), log_total = log_of(total);
  row.each([&](int64_t i, int64_t, auto store) EDGECL_INLINE_LAMBDA {
    store(y + i, logarithm ? (vload(x + i) - most) - log_total : vload(y + i) / total);
  });
}

template <class Row>
EDGECL_INLINE void backward_row(const Row& row, const float* y, const float* dy, float* dx, bool logarithm,
                                bool accumulate) {
  float lanes[kVirtualLanes * kVec];
  set_lanes(lanes, 0.0f);
  row.each([&](int64_t i, int64_t k, auto store) EDGECL_INLINE_LAMBDA {
    const vec acc = vload(lanes + k), d = vload(dy + i);
    store(lanes + k, logarithm ? acc + d : vfma(d, vload(y + i), acc));
  });
  const vec total = Row::total(lanes);
  row.each([&](int64_t i, int64_t, auto store) EDGECL_INLINE_LAMBDA {
    const vec d = vload(dy + i), v = vload(y + i);
    const vec r = logarithm ? vfma(-exp_of(v), total, d) : v * (d - total);
    store(dx + i, accumulate ? vload(dx + i) + r : r);
  });
}

// Calls f(row, its first element) for this part's rows of the map.
template <class F>
EDGECL_INLINE void for_rows(const Tensor& t, int part, int n_parts, F f) {
  const int64_t size = static_cast<int64_t>(t.width) * t.lanes;
  int64_t begin, end;
  share(static_cast<int64_t>(t.groups) * t.channels * t.height, part, n_parts, &begin, &end);
  for (int64_t r = begin; r < end; r++) {
    if (t.lanes == 1) {
      f(Together{t.width}, r * size);
      continue;
    }
    for (int64_t l = 0; l < t.lanes; l += kVec) {
      const int64_t left = t.lanes - l;
      f(SideBySide{t.width, t.lanes, l, left < kVec ? static_cast<int>(left) : kVec}, r * size);
    }
  }
}

}  // namespace

void softmax_forward(const SoftmaxForwardArgs& a, int part, int n_parts, void*) {
  for_rows(a.x, part, n_parts, [&](auto row, int64_t first) EDGECL_INLINE_LAMBDA {
    forward_row(row, a.x.data + first, a.y.data + first, a.logarithm);
  });
}

void softmax_backward(const SoftmaxBackwardArgs& a, int part, int n_parts, void*) {
  for_rows(a.y, part, n_parts, [&](auto row, int64_t first) EDGECL_INLINE_LAMBDA {
    backward_row(row, a.y.data + first, a.dy.data + first, a.dx.data + first, a.logarithm, a.accumulate);
  });
}

}  // namespace edgecl::EDGECL_LEVEL
