// Softmax over the width, its logarithm, and their gradients.
// Never here: the loss over classes (loss.cpp).
//
// Of one batch row the 16 virtual lanes of a row of the map are those of registers. Of several rows they are 16 * L floats
// behind each other (a `period`), into which W * L floats are folded with full vectors, whatever L is.
#include "kernels/plan/streamed_plan.h"
#include "kernels/simd/math.h"
#include "kernels/simd/periods.h"
#include "kernels/simd/tree.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Called, not inlined: less code.
static __attribute__((noinline)) vec log_of(vec x) {
  return vlog(x);
}

// Calls f(place, 16 numbers are there, which lanes are) for each 16 places of a row.
template <class F>
EDGECL_INLINE void for_lanes(int64_t width, F f) {
  static const float kOnes[kVirtualLanes] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const vec16 all = set16(1.0f);
  int64_t i = 0;
  for (; i + kVirtualLanes <= width; i += kVirtualLanes) f(i, kVirtualLanes, all);
  if (i < width) f(i, static_cast<int>(width - i), load16_n(kOnes, static_cast<int>(width - i)));
}

EDGECL_INLINE vec16 load_lanes(const float* p, int n) {
  return n == kVirtualLanes ? load16(p) : load16_n(p, n);
}
EDGECL_INLINE void store_lanes(float* p, const vec16& v, int n) {
  n == kVirtualLanes ? store16(p, v) : store16_n(p, v, n);
}

template <class V>
EDGECL_INLINE V larger(V behind, V front) {
  return behind > front ? behind : front;
}

// The tree with the larger of two in place of the sum.
EDGECL_INLINE float most_of(const vec16& lanes) {
  typedef float Four __attribute__((vector_size(16)));
  vec t[kParts];
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) t[i] = lanes.v[i];
#pragma GCC unroll 4
  for (int s = kParts / 2; s > 0; s /= 2)
    for (int i = 0; i < s; i++) t[i] = larger(t[i + s], t[i]);
#if EDGECL_VECTOR_BYTES == 64
  typedef float Eight __attribute__((vector_size(32)));
  const Eight eight = larger<Eight>(__builtin_shufflevector(t[0], t[0], 8, 9, 10, 11, 12, 13, 14, 15),
                                    __builtin_shufflevector(t[0], t[0], 0, 1, 2, 3, 4, 5, 6, 7));
#elif EDGECL_VECTOR_BYTES == 32
  const vec eight = t[0];
#endif
#if EDGECL_VECTOR_BYTES >= 32
  const Four four = larger<Four>(__builtin_shufflevector(eight, eight, 4, 5, 6, 7),
                                 __builtin_shufflevector(eight, eight, 0, 1, 2, 3));
#else
  const Four four = t[0];
#endif
  const Four two = larger<Four>(__builtin_shufflevector(four, four, 2, 3, 2, 3), four);
  return two[1] > two[0] ? two[1] : two[0];
}

// Rows one after the other in each pass, not pass after pass of one row: nothing then waits for the end of a chain.
constexpr int64_t kSideRows = 16, kSideFloats = 4096;

// Rows of one lane, at most kSideRows.
__attribute__((noinline)) void forward_rows(const float* x, float* y, int64_t rows, int64_t width, bool logarithm) {
  float most[kSideRows], sums[kSideRows];
  for (int64_t r = 0; r < rows; r++) {
    vec16 largest = set16(-__builtin_inff());
    for_lanes(width, [&](int64_t i, int n, const vec16& there) EDGECL_INLINE_LAMBDA {
      const vec16 v = load_lanes(x + r * width + i, n);
      EDGECL_EACH_PART
      for (int k = 0; k < kParts; k++) largest.v[k] = there.v[k] > vzero() ? vmax(v.v[k], largest.v[k]) : largest.v[k];
    });
    most[r] = most_of(largest);
  }
  for (int64_t r = 0; r < rows; r++) {
    const vec centre = vset(most[r]);
    vec16 sum = zero16();
    for_lanes(width, [&](int64_t i, int n, const vec16& there) EDGECL_INLINE_LAMBDA {
      vec16 e = load_lanes(x + r * width + i, n);
      EDGECL_EACH_PART
      for (int k = 0; k < kParts; k++) {
        e.v[k] = vexp(e.v[k] - centre);
        sum.v[k] = there.v[k] > vzero() ? sum.v[k] + e.v[k] : sum.v[k];
      }
      if (!logarithm) store_lanes(y + r * width + i, e, n);
    });
    sums[r] = tree_in_registers(sum);
  }
  for (int64_t r = 0; r < rows; r++, x += width, y += width) {
    const vec centre = vset(most[r]), total = vset(sums[r]), log_total = logarithm ? log_of(total) : total;
    store_once(y, 0, width, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      return logarithm ? (vload(x + i) - centre) - log_total : vload(y + i) / total;
    });
  }
}

__attribute__((noinline)) void backward_one(const float* y, const float* dy, float* dx, int64_t width, bool logarithm,
                                            bool accumulate) {
  vec16 sum = zero16();
  for_lanes(width, [&](int64_t i, int n, const vec16& there) EDGECL_INLINE_LAMBDA {
    const vec16 d = load_lanes(dy + i, n), v = load_lanes(y + i, n);
    EDGECL_EACH_PART
    for (int k = 0; k < kParts; k++) {
      const vec next = logarithm ? sum.v[k] + d.v[k] : vfma(d.v[k], v.v[k], sum.v[k]);
      sum.v[k] = there.v[k] > vzero() ? next : sum.v[k];
    }
  });
  const vec total = vset(tree_in_registers(sum));
  store_once(dx, 0, width, [&](int64_t i) EDGECL_INLINE_LAMBDA {
    const vec d = vload(dy + i), v = vload(y + i);
    const vec r = logarithm ? vfma(-vexp(v), total, d) : v * (d - total);
    return accumulate ? vload(dx + i) + r : r;
  });
}

// `The tree` with the larger of two in place of the sum.
EDGECL_INLINE void most_of_rows(float* t, int64_t lanes) {
  for (int64_t s = kVirtualLanes / 2; s; s /= 2)
    store_once(t, 0, s * lanes,
               [&](int64_t i) EDGECL_INLINE_LAMBDA { return vmax(vload(t + i + s * lanes), vload(t + i)); });
}

__attribute__((noinline)) void forward_many(const float* x, float* y, int64_t width, int64_t lanes, bool logarithm,
                                            float* most, float* sum) {
  const int64_t size = width * lanes, period = kVirtualLanes * lanes;
  store_once(most, 0, period, [&](int64_t) EDGECL_INLINE_LAMBDA { return vset(-__builtin_inff()); });
  for_periods(size, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
    store(most + j, vmax(vload(x + i), vload(most + j)));
  });
  most_of_rows(most, lanes);
  repeat(most, lanes, period);
  clear(sum, period);
  for_periods(size, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
    const vec e = vexp(vload(x + i) - vload(most + j));
    if (!logarithm) store(y + i, e);
    store(sum + j, vload(sum + j) + e);
  });
  tree_of_rows(sum, lanes);
  if (logarithm) store_once(sum, 0, lanes, [&](int64_t i) EDGECL_INLINE_LAMBDA { return log_of(vload(sum + i)); });
  repeat(sum, lanes, period);
  for_periods(size, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
    const vec total = vload(sum + j);
    store(y + i, logarithm ? (vload(x + i) - vload(most + j)) - total : vload(y + i) / total);
  });
}

__attribute__((noinline)) void backward_many(const float* y, const float* dy, float* dx, int64_t width, int64_t lanes,
                                             bool logarithm, bool accumulate, float* sum) {
  const int64_t size = width * lanes, period = kVirtualLanes * lanes;
  clear(sum, period);
  for_periods(size, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
    const vec acc = vload(sum + j), d = vload(dy + i);
    store(sum + j, logarithm ? acc + d : vfma(d, vload(y + i), acc));
  });
  tree_of_rows(sum, lanes);
  repeat(sum, lanes, period);
  for_periods(size, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
    const vec d = vload(dy + i), v = vload(y + i), total = vload(sum + j);
    const vec r = logarithm ? vfma(-vexp(v), total, d) : v * (d - total);
    store(dx + i, accumulate ? vload(dx + i) + r : r);
  });
}

// This part's rows of the map.
EDGECL_INLINE void share_rows(const Tensor& t, int part, int n_parts, int64_t* begin, int64_t* end) {
  share(static_cast<int64_t>(t.groups) * t.channels * t.height, part, n_parts, begin, end);
}

}  // namespace

void softmax_forward(const SoftmaxForwardArgs& a, int part, int n_parts, void* scratch) {
  float *most = static_cast<float*>(scratch), *sum = most + softmax_lanes(a.x);
  const int64_t width = a.x.width, row = width * a.x.lanes;
  int64_t begin, end;
  share_rows(a.x, part, n_parts, &begin, &end);
  if (a.x.lanes > 1) {
    for (; begin < end; begin++)
      forward_many(a.x.data + begin * row, a.y.data + begin * row, width, a.x.lanes, a.logarithm, most, sum);
    return;
  }
  const int64_t fitting = kSideFloats / width, side = fitting < 1 ? 1 : fitting < kSideRows ? fitting : kSideRows;
  for (; begin < end; begin += side)
    forward_rows(a.x.data + begin * row, a.y.data + begin * row, side < end - begin ? side : end - begin, width,
                 a.logarithm);
}

void softmax_backward(const SoftmaxBackwardArgs& a, int part, int n_parts, void* scratch) {
  int64_t begin, end;
  share_rows(a.y, part, n_parts, &begin, &end);
  for (; begin < end; begin++) {
    const int64_t first = begin * a.y.width * a.y.lanes;
    const float *y = a.y.data + first, *dy = a.dy.data + first;
    float* dx = a.dx.data + first;
    if (a.y.lanes == 1)
      backward_one(y, dy, dx, a.y.width, a.logarithm, a.accumulate);
    else
      backward_many(y, dy, dx, a.y.width, a.y.lanes, a.logarithm, a.accumulate, static_cast<float*>(scratch));
  }
}

}  // namespace edgecl::EDGECL_LEVEL
