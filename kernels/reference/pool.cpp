// Max and average pooling over windows, and their gradients: scalar reference.
// Never here: global pooling (global_pool.cpp).
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// One plane and one window over it. A window's value is combined column by column: first down each tap column, then
// over the columns. Cells outside the input take no part.
struct Window {
  const Tensor& x;
  const ConvShape& s;
  int64_t top, left;  // input position of tap (0, 0)

  Window(const Tensor& x_, const ConvShape& s_, int64_t oh, int64_t ow)
      : x(x_), s(s_), top(oh * s_.stride_h - s_.pad_top), left(ow * s_.stride_w - s_.pad_left) {}
  int64_t row(int ky) const { return top + static_cast<int64_t>(ky) * s.dilation_h; }
  int64_t column(int kx) const { return left + static_cast<int64_t>(kx) * s.dilation_w; }
  bool row_inside(int ky) const { return row(ky) >= 0 && row(ky) < x.height; }
  bool column_inside(int kx) const { return column(kx) >= 0 && column(kx) < x.width; }
  // Cells to divide by: those inside the input, or inside the padded input.
  float count(bool include_pad) const {
    int rows = 0, columns = 0;
    for (int ky = 0; ky < s.kernel_h; ky++)
      rows += include_pad ? row(ky) >= -s.pad_top && row(ky) < x.height + s.pad_bottom : row_inside(ky);
    for (int kx = 0; kx < s.kernel_w; kx++)
      columns += include_pad ? column(kx) >= -s.pad_left && column(kx) < x.width + s.pad_right : column_inside(kx);
    const int cells = rows * columns;
    return static_cast<float>(cells > 0 ? cells : 1);
  }
};

float window_max(const Window& v, const float* plane, int64_t l) {
  float best = -__builtin_inff();
  bool first_column = true;
  for (int kx = 0; kx < v.s.kernel_w; kx++) {
    if (!v.column_inside(kx)) continue;
    float column = -__builtin_inff();
    bool first_row = true;
    for (int ky = 0; ky < v.s.kernel_h; ky++) {
      if (!v.row_inside(ky)) continue;
      const float cell = plane[(v.row(ky) * v.x.width + v.column(kx)) * v.x.lanes + l];
      column = first_row ? cell : larger(cell, column);
      first_row = false;
    }
    best = first_column ? column : larger(column, best);
    first_column = false;
  }
  return best;
}

float window_sum(const Window& v, const float* plane, int64_t l) {
  float sum = 0.0f;
  for (int kx = 0; kx < v.s.kernel_w; kx++) {
    if (!v.column_inside(kx)) continue;
    float column = 0.0f;
    for (int ky = 0; ky < v.s.kernel_h; ky++)
      if (v.row_inside(ky)) column = column + plane[(v.row(ky) * v.x.width + v.column(kx)) * v.x.lanes + l];
    sum = sum + column;
  }
  return sum;
}

// Whether input cell (h, w) is the first cell of the window, row-major, that equals its maximum.
bool takes_gradient(const Window& v, const float* plane, float maximum, int64_t h, int64_t w, int64_t l) {
  for (int ky = 0; ky < v.s.kernel_h; ky++)
    for (int kx = 0; kx < v.s.kernel_w; kx++) {
      if (!v.row_inside(ky) || !v.column_inside(kx)) continue;
      if (plane[(v.row(ky) * v.x.width + v.column(kx)) * v.x.lanes + l] == maximum)
        return v.row(ky) == h && v.column(kx) == w;
    }
  return false;
}

bool covers(const Window& v, int64_t h, int64_t w) {
  bool row = false, column = false;
  for (int ky = 0; ky < v.s.kernel_h; ky++) row |= v.row(ky) == h;
  for (int kx = 0; kx < v.s.kernel_w; kx++) column |= v.column(kx) == w;
  return row && column;
}

template <class Value>
void forward(const PoolArgs& a, int part, int n_parts, Value value) {
  const Share planes = share_of(static_cast<int64_t>(a.y.groups) * a.y.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++)
    for (int64_t oh = 0; oh < a.y.height; oh++)
      for (int64_t ow = 0; ow < a.y.width; ow++)
        for (int64_t l = 0; l < a.y.lanes; l++)
          a.y.data[((gc * a.y.height + oh) * a.y.width + ow) * a.y.lanes + l] =
              value(Window(a.x, a.shape, oh, ow), a.x.data + gc * a.x.plane(), l);
}

// dx of a cell is one chain over the windows that cover it, output positions ascending; contribution(...) is one
// window's part.
template <class Contribution>
void backward(const PoolBackwardArgs& a, int part, int n_parts, Contribution contribution) {
  const Tensor& t = a.dx;
  const Share planes = share_of(static_cast<int64_t>(t.groups) * t.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++)
    for (int64_t h = 0; h < t.height; h++)
      for (int64_t w = 0; w < t.width; w++)
        for (int64_t l = 0; l < t.lanes; l++) {
          float sum = 0.0f;
          for (int64_t oh = 0; oh < a.dy.height; oh++)
            for (int64_t ow = 0; ow < a.dy.width; ow++) {
              const Window v(t, a.shape, oh, ow);
              if (!covers(v, h, w)) continue;
              sum = sum + contribution(v, gc, ((gc * a.dy.height + oh) * a.dy.width + ow) * a.dy.lanes + l, h, w, l);
            }
          float& dx = t.data[((gc * t.height + h) * t.width + w) * t.lanes + l];
          dx = a.accumulate ? dx + sum : sum;
        }
}

}  // namespace

void max_pool_forward(const PoolArgs& a, int part, int n_parts, void*) {
  forward(a, part, n_parts, [](const Window& v, const float* plane, int64_t l) { return window_max(v, plane, l); });
}

void average_pool_forward(const PoolArgs& a, int part, int n_parts, void*) {
  forward(a, part, n_parts, [&](const Window& v, const float* plane, int64_t l) {
    return window_sum(v, plane, l) / v.count(a.count_include_pad);
  });
}

void max_pool_backward(const PoolBackwardArgs& a, int part, int n_parts, void*) {
  backward(a, part, n_parts, [&](const Window& v, int64_t gc, int64_t out, int64_t h, int64_t w, int64_t l) {
    return takes_gradient(v, a.x.data + gc * a.x.plane(), a.y.data[out], h, w, l) ? a.dy.data[out] : 0.0f;
  });
}

void average_pool_backward(const PoolBackwardArgs& a, int part, int n_parts, void*) {
  backward(a, part, n_parts, [&](const Window& v, int64_t, int64_t out, int64_t, int64_t, int64_t) {
    return a.dy.data[out] / v.count(a.count_include_pad);
  });
}

}  // namespace edgecl::reference
