// Views of a row's elements copied (strided) and boxes put into a grid (place), and their gradients: the same walks, which
// the two share.
// Never here: which operators of a source become views and boxes (the exporter).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"
#include "kernels/simd/transpose.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// The axes of a view and the lanes, in floats, outer ones first, each merged with its neighbour where the two lie
// together on both sides. The last axis is the run: `run` floats, `step` apart in the view, dense on the other side.
struct Walk {
  int64_t size[kViewRank + 1], stride[kViewRank + 1], dense[kViewRank + 1];
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
    for (int k = n - 1; k >= 0; k--) {
      dense[k] = runs * run;
      runs *= size[k];
    }
  }
};

// An axis of a walk beside its run.
struct SideAxis {
  int64_t size, stride, dense;
};

SideAxis take(Walk* walk, int axis) {
  const SideAxis taken = {walk->size[axis], walk->stride[axis], walk->dense[axis]};
  walk->n--;
  walk->runs /= taken.size;
  for (int k = axis; k < walk->n; k++) {
    walk->size[k] = walk->size[k + 1];
    walk->stride[k] = walk->stride[k + 1];
    walk->dense[k] = walk->dense[k + 1];
  }
  return taken;
}

// Takes the axis out whose neighbours lie nearest in the view, nearer than those of the run: side by side, the runs along it
// read the same lines. Of size 1 where there is none.
SideAxis take_nearest(Walk* walk) {
  const auto apart = [](int64_t stride) { return stride < 0 ? -stride : stride; };
  int best = -1;
  int64_t nearest = apart(walk->step);
  for (int k = 0; k < walk->n; k++) {
    if (walk->stride[k] == 0 || apart(walk->stride[k]) >= nearest) continue;
    best = k;
    nearest = apart(walk->stride[k]);
  }
  return best < 0 ? SideAxis{1, 0, 0} : take(walk, best);
}

// Takes the axis out that goes on where `side` ends.
SideAxis take_next(Walk* walk, const SideAxis& side) {
  for (int k = 0; k < walk->n; k++)
    if (walk->stride[k] == side.size) return take(walk, k);
  return {1, 0, 0};
}

// Calls f(place in the view, place in the dense tensor) for the runs [begin, end), in order.
template <class F>
EDGECL_INLINE void for_runs(const Walk& walk, int64_t begin, int64_t end, F f) {
  int64_t index[kViewRank + 1], at = walk.offset, to = 0, rest = begin;
  for (int k = walk.n - 1; k >= 0; k--) {
    index[k] = rest % walk.size[k];
    rest /= walk.size[k];
    at += index[k] * walk.stride[k];
    to += index[k] * walk.dense[k];
  }
  for (int64_t r = begin; r < end; r++) {
    f(at, to);
    int k = walk.n - 1;
    for (; k >= 0 && ++index[k] == walk.size[k]; k--) {
      index[k] = 0;
      at -= (walk.size[k] - 1) * walk.stride[k];
      to -= (walk.size[k] - 1) * walk.dense[k];
    }
    if (k < 0) continue;
    at += walk.stride[k];
    to += walk.dense[k];
  }
}

// The place of a column in the dense tensor, where `inner` and `outer` follow each other in the view and not there.
struct Column {
  const SideAxis &inner, &outer;
  int64_t index, place;

  EDGECL_ALWAYS_INLINE void next() {
    place += inner.dense;
    if (++index < inner.size) return;
    index = 0;
    place += outer.dense - inner.size * inner.dense;
  }
};

// dense[place of c + r] = view[r * step + c].
__attribute__((noinline)) void transpose_runs(const float* view, int64_t step, int64_t run, const SideAxis& inner,
                                              const SideAxis& outer, float* dense) {
  const int64_t columns = inner.size * outer.size;
  for (int64_t r = 0; r < run; r += kVec) {
    const int64_t rows = run - r < kVec ? run - r : kVec;
    const float* from = view + r * step;
    Column column = {inner, outer, 0, r};
    int64_t c = 0;
    if (rows == kVec)
      for (; c + kVec <= columns; c += kVec) {
        vec t[kVec];
        EDGECL_UNROLL
        for (int i = 0; i < kVec; i++) t[i] = vload(from + i * step + c);
        transpose_registers(t);
        EDGECL_UNROLL
        for (int i = 0; i < kVec; i++, column.next()) vstore(dense + column.place, t[i]);
      }
    for (; c < columns; c++, column.next())
      for (int64_t i = 0; i < rows; i++) dense[column.place + i] = from[i * step + c];
  }
}

constexpr int64_t kRunBlock = 8;  // elements of neighbouring runs that are copied before the next

// dense = view, or dense += view, of runs whose elements lie apart: the share of one part.
__attribute__((noinline)) void gather_apart(Walk walk, const float* view, float* dense, bool accumulate, int part,
                                            int n_parts) {
  const int64_t run = walk.run, step = walk.step;
  SideAxis side = take_nearest(&walk), next = {1, 0, 0};
  const bool square = side.stride == 1 && !accumulate;
  if (square) next = take_next(&walk, side);
  int64_t begin = 0, end = walk.runs;
  if (end < n_parts && next.size == 1) {
    int64_t first, last;
    share(side.size, part, n_parts, &first, &last);
    walk.offset += first * side.stride;
    dense += first * side.dense;
    side.size = last - first;
  } else {
    share(end, part, n_parts, &begin, &end);
  }
  for_runs(walk, begin, end, [&](int64_t at, int64_t to) EDGECL_INLINE_LAMBDA {
    const float* x = view + at;
    float* y = dense + to;
    if (square) return transpose_runs(x, step, run, side, next, y);
    for (int64_t first = 0; first < run; first += kRunBlock) {
      const int64_t last = first + kRunBlock < run ? first + kRunBlock : run;
      for (int64_t k = 0; k < side.size; k++) {
        const float* from = x + k * side.stride;
        float* into = y + k * side.dense;
        for (int64_t i = first; i < last; i++) into[i] = accumulate ? into[i] + from[i * step] : from[i * step];
      }
    }
  });
}

// dense = view, or dense += view: the share of one part.
__attribute__((noinline)) void gather_view(const Walk& walk, const float* view, float* dense, bool accumulate, int part,
                                           int n_parts) {
  if (walk.step != 1) return gather_apart(walk, view, dense, accumulate, part, n_parts);
  int64_t begin, end;
  share(walk.runs, part, n_parts, &begin, &end);
  const int64_t run = walk.run;
  for_runs(walk, begin, end, [&](int64_t at, int64_t to) EDGECL_INLINE_LAMBDA {
    const float* x = view + at;
    float* y = dense + to;
    if (accumulate)
      store_once(y, 0, run, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(y + i) + vload(x + i); });
    else
      store_once(y, 0, run, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(x + i); });
  });
}

// view = dense, or view += dense one after the other: what lies in the floats [low, high) of the view's tensor.
__attribute__((noinline)) void scatter_view(const Walk& walk, const float* dense, float* view, bool add, int64_t low,
                                            int64_t high) {
  const int64_t run = walk.run, step = walk.step;
  if (step != 1) {
    for_runs(walk, 0, walk.runs, [&](int64_t at, int64_t from) EDGECL_INLINE_LAMBDA {
      const int64_t last = at + (run - 1) * step;
      if (add && at >= low && last >= low && at < high && last < high) {
        for (int64_t i = 0; i < run; i++) view[at + i * step] = view[at + i * step] + dense[from + i];
        return;
      }
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
      store_once(y, first, last, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(y + i) + vload(x + i); });
    else
      store_once(y, first, last, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(x + i); });
  });
}

EDGECL_INLINE int64_t row_elements(const Tensor& t) {
  return static_cast<int64_t>(t.channels) * t.height * t.width;
}

EDGECL_INLINE Walk view_walk(const int32_t* view, int64_t offset, int64_t lanes) {
  int64_t stride[kViewRank];
  for (int k = 0; k < kViewRank; k++) stride[k] = view[kViewRank + k];
  return Walk(view, stride, offset, lanes);
}

EDGECL_INLINE Walk box_walk(const int32_t* boxes, int i, int64_t lanes) {
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

void strided_forward(const StridedForwardArgs& a, int part, int n_parts, void*) {
  const Walk walk = view_walk(a.view, a.offset, a.x.lanes);
  const int64_t from = row_elements(a.x) * a.x.lanes, to = row_elements(a.y) * a.x.lanes;
  for (int64_t g = 0; g < a.x.groups; g++)
    gather_view(walk, a.x.data + g * from, a.y.data + g * to, false, part, n_parts);
}

void strided_backward(const StridedBackwardArgs& a, int part, int n_parts, void*) {
  const Walk walk = view_walk(a.view, a.offset, a.dx.lanes);
  const int64_t from = row_elements(a.dx) * a.dx.lanes, to = row_elements(a.dy) * a.dx.lanes;
  int64_t low, high;
  flat_share(from, part, n_parts, &low, &high);
  for (int64_t g = 0; g < a.dx.groups; g++) {
    float* dx = a.dx.data + g * from;
    if (!a.accumulate) store_once(dx, low, high, [&](int64_t) EDGECL_INLINE_LAMBDA { return vzero(); });
    scatter_view(walk, a.dy.data + g * to, dx, true, low, high);
  }
}

void place_forward(const PlaceForwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.y.lanes, whole = row_elements(a.y) * lanes;
  int64_t low, high;
  flat_share(whole, part, n_parts, &low, &high);
  const vec fill = vset(a.fill);
  for (int64_t g = 0; g < a.y.groups; g++) {
    float* y = a.y.data + g * whole;
    store_once(y, low, high, [&](int64_t) EDGECL_INLINE_LAMBDA { return fill; });
    for (int i = 0; i < a.n_inputs; i++) {
      const Tensor& x = a.inputs[i];
      scatter_view(box_walk(a.boxes, i, lanes), x.data + g * row_elements(x) * lanes, y, false, low, high);
    }
  }
}

void place_backward(const PlaceBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.dy.lanes, whole = row_elements(a.dy) * lanes;
  for (int i = 0; i < a.n_inputs; i++) {
    const Tensor& dx = a.dinputs[i];
    if (!dx.data) continue;
    const Walk walk = box_walk(a.boxes, i, lanes);
    for (int64_t g = 0; g < a.dy.groups; g++)
      gather_view(walk, a.dy.data + g * whole, dx.data + g * row_elements(dx) * lanes, a.accumulate[i], part, n_parts);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
