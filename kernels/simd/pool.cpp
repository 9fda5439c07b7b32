// Max and average pooling over windows, and their gradients. Forward is separable: first down the rows of the windows
// over whole input rows, then across the columns; so every combination runs over contiguous floats, whatever the number
// of lanes.
// Never here: global pooling (global_pool.cpp).
// Built for size (-Os): waits for memory.
#include "kernels/plan/streamed_plan.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Taps of one window along one axis that lie inside the input: [begin, end); tap k lies at position start + k *
// dilation.
struct Taps {
  int begin, end;
  int64_t start;
};

EDGECL_INLINE Taps taps_inside(int64_t out, int stride, int pad, int dilation, int kernel, int64_t size) {
  Taps t = {0, kernel, out * stride - pad};
  while (t.begin < kernel && t.start + static_cast<int64_t>(t.begin) * dilation < 0) t.begin++;
  while (t.end > t.begin && t.start + static_cast<int64_t>(t.end - 1) * dilation >= size) t.end--;
  return t;
}

// How many cells of a window count for the average along one axis.
EDGECL_INLINE int cells(const Taps& t, int dilation, int kernel, int pad_begin, int pad_end, int64_t size,
                        bool include_pad) {
  if (!include_pad) return t.end - t.begin;
  int count = 0;
  for (int k = 0; k < kernel; k++) {
    const int64_t position = t.start + static_cast<int64_t>(k) * dilation;
    count += position >= -pad_begin && position < size + pad_end;
  }
  return count;
}

struct Max {
  EDGECL_ALWAYS_INLINE static vec none() { return vset(-__builtin_inff()); }
  EDGECL_ALWAYS_INLINE static vec first(vec x) { return x; }
  EDGECL_ALWAYS_INLINE static vec next(vec x, vec acc) { return vmax(x, acc); }
};
struct Sum {
  EDGECL_ALWAYS_INLINE static vec none() { return vzero(); }
  EDGECL_ALWAYS_INLINE static vec first(vec x) {
    return vzero() + x;
  }  // -0 becomes +0, as in a chain that starts from +0
  EDGECL_ALWAYS_INLINE static vec next(vec x, vec acc) { return acc + x; }
};

// out[i] = the combination of from[i], from[i + step], ... (taps of them) for i < n; writes whole vectors, so out has
// slack.
template <class Op>
EDGECL_INLINE void combine(const float* from, int64_t step, int taps, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += kVec) {
    vec acc = Op::none();
    if (taps > 0) {
      acc = Op::first(vload(from + i));
      for (int k = 1; k < taps; k++) acc = Op::next(vload(from + k * step + i), acc);
    }
    vstore(out + i, acc);
  }
}

EDGECL_INLINE float window_cells(const ConvShape& s, const Tensor& x, const Taps& rows, const Taps& columns,
                                 bool include_pad) {
  const int count = cells(rows, s.dilation_h, s.kernel_h, s.pad_top, s.pad_bottom, x.height, include_pad) *
                    cells(columns, s.dilation_w, s.kernel_w, s.pad_left, s.pad_right, x.width, include_pad);
  return static_cast<float>(count > 0 ? count : 1);
}

template <class Op, bool kAverage>
EDGECL_INLINE void forward(const PoolArgs& a, int part, int n_parts, float* scratch) {
  const ConvShape s = a.shape;
  const int64_t lanes = a.x.lanes, in_row = a.x.width * lanes, out_row = a.y.width * lanes;
  float* column = scratch;  // one input row: the windows' columns, combined down their rows
  float* out = scratch + with_slack(in_row);
  int64_t begin, end;
  share(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts, &begin, &end);
  for (int64_t gc = begin; gc < end; gc++)
    for (int64_t oh = 0; oh < a.y.height; oh++) {
      const Taps rows = taps_inside(oh, s.stride_h, s.pad_top, s.dilation_h, s.kernel_h, a.x.height);
      const float* first =
          a.x.data + gc * a.x.plane() + (rows.start + static_cast<int64_t>(rows.begin) * s.dilation_h) * in_row;
      combine<Op>(first, s.dilation_h * in_row, rows.end - rows.begin, column, in_row);
      for (int64_t ow = 0; ow < a.y.width;) {
        const Taps columns = taps_inside(ow, s.stride_w, s.pad_left, s.dilation_w, s.kernel_w, a.x.width);
        const int64_t at = columns.start + static_cast<int64_t>(columns.begin) * s.dilation_w;
        int64_t run = 1;  // neighbouring windows whose columns all lie inside are contiguous when the stride is 1
        if (s.stride_w == 1 && columns.begin == 0 && columns.end == s.kernel_w) {
          const int64_t last = a.x.width - 1 - static_cast<int64_t>(s.kernel_w - 1) * s.dilation_w + s.pad_left;
          run = (last < a.y.width - 1 ? last : a.y.width - 1) - ow + 1;
        }
        float* to = out + ow * lanes;
        combine<Op>(column + at * lanes, s.dilation_w * lanes, columns.end - columns.begin, to, run * lanes);
        if constexpr (kAverage) {
          const vec count = vset(window_cells(s, a.x, rows, columns, a.count_include_pad));
          for (int64_t i = 0; i < run * lanes; i += kVec) vstore(to + i, vload(to + i) / count);
        }
        ow += run;
      }
      memcpy(a.y.data + (gc * a.y.height + oh) * out_row, out, static_cast<size_t>(out_row) * sizeof(float));
    }
}

// dx of every cell of one plane: a chain over the windows that cover it, output positions ascending. term(offset in the
// output plane, tap number) gives the vector that a window adds; `row` holds one input row and slack.
template <class Term>
EDGECL_INLINE void gather_plane(const PoolBackwardArgs& a, int64_t gc, float* row, Term term) {
  const ConvShape s = a.shape;
  const int64_t lanes = a.dx.lanes, in_row = a.dx.width * lanes;
  const bool accumulate = a.accumulate;
  for (int64_t h = 0; h < a.dx.height; h++) {
    for (int64_t w = 0; w < a.dx.width; w++)
      for (int64_t l = 0; l < lanes; l += kVec) {
        vec sum = vzero();
        for (int ky = s.kernel_h - 1; ky >= 0; ky--) {
          const int64_t y = h + s.pad_top - static_cast<int64_t>(ky) * s.dilation_h, oh = y / s.stride_h;
          if (y < 0 || y % s.stride_h != 0 || oh >= a.dy.height) continue;
          for (int kx = s.kernel_w - 1; kx >= 0; kx--) {
            const int64_t x = w + s.pad_left - static_cast<int64_t>(kx) * s.dilation_w, ow = x / s.stride_w;
            if (x < 0 || x % s.stride_w != 0 || ow >= a.dy.width) continue;
            sum = sum + term((oh * a.dy.width + ow) * lanes + l, ky * s.kernel_w + kx);
          }
        }
        vstore(row + w * lanes + l, sum);
      }
    float* dx = a.dx.data + gc * a.dx.plane() + h * in_row;
    store_flat(dx, 0, in_row, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      return accumulate ? vload(dx + i) + vload(row + i) : vload(row + i);
    });
  }
}

}  // namespace

void max_pool_forward(const PoolArgs& a, int part, int n_parts, void* scratch) {
  forward<Max, false>(a, part, n_parts, static_cast<float*>(scratch));
}

void average_pool_forward(const PoolArgs& a, int part, int n_parts, void* scratch) {
  forward<Sum, true>(a, part, n_parts, static_cast<float*>(scratch));
}

void max_pool_backward(const PoolBackwardArgs& a, int part, int n_parts, void* scratch) {
  const ConvShape s = a.shape;
  const int64_t lanes = a.dx.lanes, in_row = a.dx.width * lanes;
  float* chosen =
      static_cast<float*>(scratch);  // per output: the tap (as int32 bits) of the window's first maximum, row-major
  float* row = chosen + with_slack(a.dy.plane());
  int64_t begin, end;
  share(static_cast<int64_t>(a.dx.groups) * a.dx.channels, part, n_parts, &begin, &end);
  for (int64_t gc = begin; gc < end; gc++) {
    const float *x = a.x.data + gc * a.x.plane(), *y = a.y.data + gc * a.dy.plane(),
                *dy = a.dy.data + gc * a.dy.plane();
    for (int64_t oh = 0; oh < a.dy.height; oh++) {
      const Taps rows = taps_inside(oh, s.stride_h, s.pad_top, s.dilation_h, s.kernel_h, a.dx.height);
      for (int64_t ow = 0; ow < a.dy.width; ow++) {
        const Taps columns = taps_inside(ow, s.stride_w, s.pad_left, s.dilation_w, s.kernel_w, a.dx.width);
        for (int64_t l = 0; l < lanes; l += kVec) {
          const int64_t out = (oh * a.dy.width + ow) * lanes + l;
          const vec maximum = vload(y + out);
          ivec tap = (ivec){} - 1;
          for (int ky = rows.end - 1; ky >= rows.begin; ky--)
            for (int kx = columns.end - 1; kx >= columns.begin; kx--) {
              const float* cell = x + (rows.start + static_cast<int64_t>(ky) * s.dilation_h) * in_row +
                                  (columns.start + static_cast<int64_t>(kx) * s.dilation_w) * lanes + l;
              tap = vload(cell) == maximum ? (ivec){} + (ky * s.kernel_w + kx) : tap;
            }
          vstore(chosen + out, (vec)tap);
        }
      }
    }
    gather_plane(a, gc, row, [&](int64_t out, int tap) EDGECL_INLINE_LAMBDA {
      return (ivec)vload(chosen + out) == tap ? vload(dy + out) : vzero();
    });
  }
}

void average_pool_backward(const PoolBackwardArgs& a, int part, int n_parts, void* scratch) {
  const ConvShape s = a.shape;
  const int64_t lanes = a.dx.lanes;
  float* quotient = static_cast<float*>(scratch);  // dy / count
  float* row = quotient + with_slack(a.dy.plane());
  int64_t begin, end;
  share(static_cast<int64_t>(a.dx.groups) * a.dx.channels, part, n_parts, &begin, &end);
  for (int64_t gc = begin; gc < end; gc++) {
    const float* dy = a.dy.data + gc * a.dy.plane();
    for (int64_t oh = 0; oh < a.dy.height; oh++) {
      const Taps rows = taps_inside(oh, s.stride_h, s.pad_top, s.dilation_h, s.kernel_h, a.dx.height);
      for (int64_t ow = 0; ow < a.dy.width; ow++) {
        const Taps columns = taps_inside(ow, s.stride_w, s.pad_left, s.dilation_w, s.kernel_w, a.dx.width);
        const vec count = vset(window_cells(s, a.dx, rows, columns, a.count_include_pad));
        const int64_t out = (oh * a.dy.width + ow) * lanes;
        for (int64_t l = 0; l < lanes; l += kVec) vstore(quotient + out + l, vload(dy + out + l) / count);
      }
    }
    gather_plane(a, gc, row, [&](int64_t out, int) EDGECL_INLINE_LAMBDA { return vload(quotient + out); });
  }
}

}  // namespace edgecl::EDGECL_LEVEL
