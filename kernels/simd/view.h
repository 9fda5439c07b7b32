// Walks over a view of the elements of a row and a dense tensor beside it, in runs of floats.
// Never here: kernels.
#ifndef EDGECL_KERNELS_SIMD_VIEW_H_
#define EDGECL_KERNELS_SIMD_VIEW_H_

#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {

// The axes of a view and the lanes, in floats, outer ones first, each merged with its neighbour where the two lie
// together on both sides. The last axis is the run: `run` floats, `step` apart in the view, dense on the other side.
struct Walk {
  int64_t size[kViewRank + 1], stride[kViewRank + 1];
  int n;  // axes before the run
  int64_t runs, run, step, offset;

  EDGECL_ALWAYS_INLINE Walk(const int32_t* sizes, const int64_t* strides, int64_t first, int64_t lanes)
      : n(0), runs(1), run(lanes), step(1), offset(first * lanes) {
    for (int k = 0; k <= kViewRank; k++) {
      const int64_t s = k < kViewRank ? sizes[k] : lanes, d = k < kViewRank ? strides[k] * lanes : 1;
      if (s == 1) continue;
      if (n > 0 && stride[n - 1] == s * d) {
        size[n - 1] *= s;
        stride[n - 1] = d;
      } else {
        size[n] = s;
        stride[n++] = d;
      }
    }
    if (n > 0) {
      n--;
      run = size[n];
      step = stride[n];
    }
    for (int k = 0; k < n; k++) runs *= size[k];
  }
};

// Calls f(place in the view, place in the dense tensor) for the runs [begin, end), in order.
template <class F>
EDGECL_INLINE void for_runs(const Walk& walk, int64_t begin, int64_t end, F f) {
  int64_t index[kViewRank + 1], at = walk.offset, rest = begin;
  for (int k = walk.n - 1; k >= 0; k--) {
    index[k] = rest % walk.size[k];
    rest /= walk.size[k];
    at += index[k] * walk.stride[k];
  }
  for (int64_t r = begin; r < end; r++) {
    f(at, r * walk.run);
    int k = walk.n - 1;
    for (; k >= 0 && ++index[k] == walk.size[k]; k--) {
      index[k] = 0;
      at -= (walk.size[k] - 1) * walk.stride[k];
    }
    if (k >= 0) at += walk.stride[k];
  }
}

// dense = view, or dense += view: the share of one part.
EDGECL_INLINE void gather_view(const Walk& walk, const float* view, float* dense, bool accumulate, int part,
                               int n_parts) {
  int64_t begin, end;
  share(walk.runs, part, n_parts, &begin, &end);
  const int64_t run = walk.run, step = walk.step;
  if (step != 1) {
    for_runs(walk, begin, end, [&](int64_t at, int64_t to) EDGECL_INLINE_LAMBDA {
      const float* x = view + at;
      float* y = dense + to;
      if (accumulate)
        for (int64_t i = 0; i < run; i++) y[i] = y[i] + x[i * step];
      else
        for (int64_t i = 0; i < run; i++) y[i] = x[i * step];
    });
    return;
  }
  for_runs(walk, begin, end, [&](int64_t at, int64_t to) EDGECL_INLINE_LAMBDA {
    const float* x = view + at;
    float* y = dense + to;
    if (accumulate)
      store_flat(y, 0, run, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(y + i) + vload(x + i); });
    else
      store_flat(y, 0, run, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(x + i); });
  });
}

// view = dense, or view += dense one after the other: what lies in the floats [low, high) of the view's tensor.
EDGECL_INLINE void scatter_view(const Walk& walk, const float* dense, float* view, bool add, int64_t low,
                                int64_t high) {
  const int64_t run = walk.run, step = walk.step;
  if (step != 1) {
    for_runs(walk, 0, walk.runs, [&](int64_t at, int64_t from) EDGECL_INLINE_LAMBDA {
      for (int64_t i = 0; i < run; i++, at += step) {
        if (at < low || at >= high) continue;
        view[at] = add ? view[at] + dense[from + i] : dense[from + i];
      }
    });
    return;
  }
  for_runs(walk, 0, walk.runs, [&](int64_t at, int64_t from) EDGECL_INLINE_LAMBDA {
    const int64_t first = at < low ? low - at : 0, last = at + run > high ? high - at : run;
    const float* x = dense + from;
    float* y = view + at;
    if (add)
      store_flat(y, first, last, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(y + i) + vload(x + i); });
    else
      store_flat(y, first, last, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(x + i); });
  });
}

EDGECL_INLINE int64_t row_elements(const Tensor& t) {
  return static_cast<int64_t>(t.channels) * t.height * t.width;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_VIEW_H_
