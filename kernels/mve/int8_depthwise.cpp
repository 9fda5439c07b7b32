// Depthwise convolution in int8, 16 channels at once, for cores with the M-profile vector extension.
// Indices have 32 bits. Never here: dense windows (int8_conv.cpp).
//
// Products of 16 bits are made for the even and for the odd channels, and stay apart until the sums are stored.
#include "kernels/mve/tile.h"

namespace edgecl::mve {
namespace {

using dsp::Window;

// Taps begin .. end of one axis lie in the picture.
struct Taps {
  int32_t begin, end;
};
Taps taps_inside(int32_t first, int32_t dilation, int32_t kernel, int32_t size) {
  Taps t = {0, kernel};
  while (t.begin < t.end && first + t.begin * dilation < 0) t.begin++;
  while (t.begin < t.end && first + (t.end - 1) * dilation >= size) t.end--;
  return t;
}

struct Pair {
  int32x4_t even, odd;  // sums of 8 channels
};

EDGECL_MVE void add(Pair* s, int16x8_t x, int16x8_t w) {
  s->even = vaddq_s32(s->even, vmullbq_int_s16(x, w));
  s->odd = vaddq_s32(s->odd, vmulltq_int_s16(x, w));
}

EDGECL_MVE void store(const Pair& s, int32_t* sums) {
  const uint32x4_t every_second = vidupq_n_u32(0, 2);
  vstrwq_scatter_shifted_offset_s32(sums, every_second, s.even);
  vstrwq_scatter_shifted_offset_s32(sums + 1, every_second, s.odd);
}

// Of one position: the taps that lie in the picture, and where the first of them is.
struct Reads {
  const int8_t *x, *w;
  int32_t rows, columns;
};
Reads reads_of(const Int8ConvArgs& a, const Window& at, int32_t stride) {
  const ConvShape& s = a.shape;
  const Taps rows = taps_inside(at.top, s.dilation_h, s.kernel_h, a.x.height);
  const Taps columns = taps_inside(at.left, s.dilation_w, s.kernel_w, a.x.width);
  const bool none = rows.begin == rows.end || columns.begin == columns.end;
  return {none ? a.x.data : dsp::tap_of(a, at, rows.begin, columns.begin),
          a.weight + (rows.begin * s.kernel_w + columns.begin) * stride, none ? 0 : rows.end - rows.begin,
          columns.end - columns.begin};
}

// From one tap to the next, and from one row of taps to the next.
struct Steps {
  int32_t x_tap, x_row, w_tap, w_row;
};

void add_products(const Reads& r, const Steps& step, int32_t c, int16_t zero, int32_t* sums) {
  Pair low = {vdupq_n_s32(0), vdupq_n_s32(0)}, high = low;
  const int8_t *x_row = r.x + c, *w_row = r.w + c;
  const int32_t columns = r.columns, x_tap = step.x_tap - 8, w_tap = step.w_tap - 8;
  for (int32_t ky = 0; ky < r.rows; ky++, x_row += step.x_row, w_row += step.w_row) {
    const int8_t *x = x_row, *w = w_row;
    for (int32_t kx = 0; kx < columns; kx++) {
      const int16x8_t x0 = vldrbq_s16(x), w0 = vldrbq_s16(w);
      advance(&x, 8);
      advance(&w, 8);
      add(&low, vsubq_n_s16(x0, zero), w0);
      __asm volatile("" ::: "memory");  // eight registers: no value of the other half is loaded before
      const int16x8_t x1 = vldrbq_s16(x), w1 = vldrbq_s16(w);
      x += x_tap, w += w_tap;
      add(&high, vsubq_n_s16(x1, zero), w1);
    }
  }
  store(low, sums);
  store(high, sums + 8);
}

}  // namespace

void int8_depthwise(const Int8ConvArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int32_t stride = dsp::table_stride(a), channels = a.y.channels;
  const Steps step = {s.dilation_w * channels, s.dilation_h * a.x.width * channels, stride, s.kernel_w * stride};
  const dsp::Positions positions = dsp::positions_of(a, part, n_parts);
  Sums sums;
  for (int32_t p = positions.begin; p < positions.end; p += kPositions) {
    const Places places = places_of(a, p, positions.end);
    Reads reads[kPositions];
    for (int32_t i = 0; i < places.rows; i++) reads[i] = reads_of(a, places.at[i], stride);
    for (int32_t c = 0; c < channels; c += kInt8Channels) {
      for (int32_t i = 0; i < places.rows; i++) {
        add_products(reads[i], step, c, static_cast<int16_t>(a.x.zero_point), sums[i]);
      }
      finish(a, sums, p, places.rows, c, 0);
    }
  }
}

}  // namespace edgecl::mve
