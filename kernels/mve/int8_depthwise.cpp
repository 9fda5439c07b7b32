// Depthwise convolution in int8, 16 channels at once, for cores with the M-profile vector extension.
// Indices have 32 bits. Never here: dense windows (int8_conv.cpp).
//
// Products of 16 bits are made for the even and for the odd channels, and stay apart until the result is narrowed.
#include "kernels/mve/vectors.h"

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

struct Sums {
  int32x4_t even, odd;  // of 8 channels
};

EDGECL_MVE void add(Sums* s, int16x8_t x, int16x8_t w) {
  s->even = vaddq_s32(s->even, vmullbq_int_s16(x, w));
  s->odd = vaddq_s32(s->odd, vmulltq_int_s16(x, w));
}

// Every second entry of a table from here on.
EDGECL_MVE int32x4_t every_second(const int32_t* from) {
  return vldrwq_gather_shifted_offset_s32(from, vidupq_n_u32(0, 2));
}
EDGECL_MVE int32x4_t result_of(int32x4_t sum, const int32_t* table, int32_t stride) {
  const int32x4_t bias = every_second(table + kInt8Bias * stride);
  const Scale scale =
      scale_of(every_second(table + kInt8Multiplier * stride), every_second(table + kInt8Shift * stride));
  return requantize(vaddq_s32(sum, bias), scale);
}

// The results of 8 channels, whose first is c.
EDGECL_MVE void finish(const Int8ConvArgs& a, const Sums& sums, int32_t c, int32_t stride, int8_t* y) {
  const int32x4_t even = result_of(sums.even, a.table + c, stride), odd = result_of(sums.odd, a.table + c + 1, stride);
  // What 16 bits cut off, the bounds would.
  int16x8_t both = vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), even), odd);
  both = vqaddq_n_s16(both, static_cast<int16_t>(a.y.zero_point));
  both = vmaxq_s16(vminq_s16(both, vdupq_n_s16(static_cast<int16_t>(a.hi))), vdupq_n_s16(static_cast<int16_t>(a.lo)));
  vstrbq_p_s16(y + c, both, vctp16q(static_cast<uint32_t>(a.y.channels - c)));
}

}  // namespace

void int8_depthwise(const Int8ConvArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int32_t stride = dsp::table_stride(a);
  const int32_t tap_bytes = s.dilation_w * a.x.channels, row_bytes = s.dilation_h * a.x.width * a.x.channels;
  const int16_t zero = static_cast<int16_t>(a.x.zero_point);
  const dsp::Positions positions = dsp::positions_of(a, part, n_parts);
  for (int32_t p = positions.begin; p < positions.end; p++) {
    const Window at = dsp::window_of(a, p);
    const Taps rows = taps_inside(at.top, s.dilation_h, s.kernel_h, a.x.height);
    const Taps columns = taps_inside(at.left, s.dilation_w, s.kernel_w, a.x.width);
    const int32_t n_columns = columns.end - columns.begin, n_rows = n_columns == 0 ? 0 : rows.end - rows.begin;
    const int8_t* x = n_rows == 0 ? a.x.data : dsp::tap_of(a, at, rows.begin, columns.begin);
    const int8_t* w = a.weight + (rows.begin * s.kernel_w + columns.begin) * stride;
    int8_t* const y = a.y.data + p * a.y.channels;
    for (int32_t c = 0; c < a.y.channels; c += kInt8Channels, x += kInt8Channels, w += kInt8Channels) {
      Sums low = {vdupq_n_s32(0), vdupq_n_s32(0)}, high = low;
      const int8_t *x_row = x, *w_row = w;
      for (int32_t ky = 0; ky < n_rows; ky++, x_row += row_bytes, w_row += s.kernel_w * stride) {
        const int8_t *tap = x_row, *weight = w_row;
        for (int32_t kx = 0; kx < n_columns; kx++, tap += tap_bytes, weight += stride) {
          add(&low, vsubq_n_s16(vldrbq_s16(tap), zero), vldrbq_s16(weight));
          __asm volatile("" ::: "memory");  // eight registers: no value of the other half is loaded before
          add(&high, vsubq_n_s16(vldrbq_s16(tap + 8), zero), vldrbq_s16(weight + 8));
        }
      }
      finish(a, low, c, stride, y);
      if (c + 8 < a.y.channels) finish(a, high, c + 8, stride, y);
    }
  }
}

}  // namespace edgecl::mve
