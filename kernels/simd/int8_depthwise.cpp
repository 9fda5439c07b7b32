// Depthwise convolution in int8: channels are the lanes.
// Never here: dense convolution (int8_conv.cpp).
#include "kernels/plan/int8_plan.h"
#include "kernels/simd/int8.h"

EDGECL_DECLARE_DOT_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

// What all positions of one block of channels share.
struct Block {
  ivec start;
  Scale scale;
  int n;  // channels of it
};

EDGECL_INLINE Block block_of(const Int8ConvArgs& a, int64_t c, int64_t stride) {
  const int32_t* table = a.table + c;
  Block b;
  b.start = start_of(table, stride, a.x.zero_point);
  b.scale = scale_of(iload(table + kInt8Multiplier * stride), iload(table + kInt8Shift * stride));
  b.n = static_cast<int>(a.y.channels - c < kVec ? a.y.channels - c : kVec);
  return b;
}

EDGECL_INLINE void finish(const Int8ConvArgs& a, const Block& b, ivec acc, int8_t* y) {
  store_int8(y, clamp_moved(requantize(acc, b.scale), a.y.zero_point, a.lo, a.hi), b.n);
}

// First and last + 1 of the positions of an output row whose windows lie inside.
EDGECL_INLINE void inside(const Int8ConvArgs& a, int64_t* begin, int64_t* end) {
  const ConvShape& s = a.shape;
  const int64_t last = a.x.width - 1 - static_cast<int64_t>(s.kernel_w - 1) * s.dilation_w + s.pad_left;
  *begin = (s.pad_left + s.stride_w - 1) / s.stride_w;
  *end = last < 0 ? 0 : last / s.stride_w + 1;
  if (*end > a.y.width) *end = a.y.width;
  if (*begin > *end) *begin = *end;
}

// input_row(ky): the input row of the taps' row ky, or outside a row of zero points.
template <class InputRow>
EDGECL_INLINE void any_window(const Int8ConvArgs& a, const Block& b, InputRow input_row, int64_t left, int64_t c,
                              int64_t stride, int8_t* y) {
  const ConvShape& s = a.shape;
  ivec acc = b.start;
  for (int ky = 0; ky < s.kernel_h; ky++) {
    const int8_t* row = input_row(ky);
    for (int kx = 0; kx < s.kernel_w; kx++) {
      const int64_t w = left + static_cast<int64_t>(kx) * s.dilation_w;
      const ivec x = w < 0 || w >= a.x.width ? iset(a.x.zero_point) : load_int8(row + w * a.x.channels + c);
      const int8_t* weight = a.weight + (static_cast<int64_t>(ky) * s.kernel_w + kx) * stride + c;
      acc = multiply_add(x, lower_half(load_int8(weight)), acc);
    }
  }
  finish(a, b, acc, y);
}

// Windows of kSide x kSide inside, next to each other: their weights stay in registers where there are enough.
template <int kSide>
EDGECL_INLINE void windows(const Int8ConvArgs& a, const Block& b, const int8_t* const* rows, int64_t begin, int64_t end,
                           int64_t c, int64_t stride, int8_t* y) {
  const int64_t tap = static_cast<int64_t>(a.shape.dilation_w) * a.x.channels;
  ivec weight[kSide * kSide];
  EDGECL_UNROLL
  for (int k = 0; k < kSide * kSide; k++) weight[k] = lower_half(load_int8(a.weight + k * stride + c));
  for (int64_t ow = begin; ow < end; ow++) {
    const int64_t at = (ow * a.shape.stride_w - a.shape.pad_left) * a.x.channels + c;
    ivec acc = b.start;
    EDGECL_UNROLL
    for (int ky = 0; ky < kSide; ky++) {
      EDGECL_UNROLL
      for (int kx = 0; kx < kSide; kx++)
        acc = multiply_add(load_int8(rows[ky] + at + kx * tap), weight[ky * kSide + kx], acc);
    }
    finish(a, b, acc, y + ow * a.y.channels);
  }
}

}  // namespace

void int8_depthwise(const Int8ConvArgs& a, int part, int n_parts, void* scratch) {
  const ConvShape& s = a.shape;
  const int64_t stride = round_up(a.y.channels, kInt8Channels);
  const int64_t in_row = static_cast<int64_t>(a.x.width) * a.x.channels;
  int8_t* const border = static_cast<int8_t*>(scratch);
  memset(border, a.x.zero_point, static_cast<size_t>(in_row));
  int64_t row, end, first, last;
  share(static_cast<int64_t>(a.y.rows) * a.y.height, part, n_parts, &row, &end);
  inside(a, &first, &last);
  for (; row < end; row++) {
    const int8_t* image = a.x.data + row / a.y.height * a.x.height * in_row;
    const int64_t top = row % a.y.height * s.stride_h - s.pad_top;
    const auto input_row = [&](int64_t ky) EDGECL_INLINE_LAMBDA -> const int8_t* {
      const int64_t h = top + ky * s.dilation_h;
      return h < 0 || h >= a.x.height ? border : image + h * in_row;
    };
    int8_t* const y = a.y.data + row * a.y.width * a.y.channels;
    const int8_t* const rows[3] = {input_row(0), input_row(1), input_row(2)};
    for (int64_t c = 0; c < a.y.channels; c += kVec) {
      const Block b = block_of(a, c, stride);
      const auto any = [&](int64_t from, int64_t to) EDGECL_INLINE_LAMBDA {
        for (int64_t ow = from; ow < to; ow++)
          any_window(a, b, input_row, ow * s.stride_w - s.pad_left, c, stride, y + ow * a.y.channels + c);
      };
      if (s.kernel_h == 3 && s.kernel_w == 3) {
        any(0, first);
        windows<3>(a, b, rows, first, last, c, stride, y + c);
        any(last, a.y.width);
      } else {
        any(0, a.y.width);
      }
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
