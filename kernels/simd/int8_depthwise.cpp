// Depthwise convolution in int8: channels are the lanes.
// Never here: dense convolution (int8_conv.cpp).
#include "kernels/plan/int8_plan.h"
#include "kernels/simd/int8.h"

EDGECL_DECLARE_DOT_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

// What all windows of one block of channels share, from channel c on.
struct Block {
  LayerFinish f;
  int64_t c, stride;
  const int8_t* border;  // zero points
  int n;                 // channels of it
};

// Any window. input_row(ky): the input row of the taps' row ky, or outside a row of zero points.
template <class InputRow>
EDGECL_INLINE void any_window(const Int8ConvArgs& a, const Block& b, InputRow input_row, int64_t left, int8_t* y) {
  const ConvShape& s = a.shape;
  ivec acc = b.f.start;
  for (int ky = 0; ky < s.kernel_h; ky++) {
    const int8_t* row = input_row(ky);
    for (int kx = 0; kx < s.kernel_w; kx++) {
      const int64_t w = left + static_cast<int64_t>(kx) * s.dilation_w;
      const int8_t* x = w < 0 || w >= a.x.width ? b.border : row + w * a.x.channels + b.c;
      const int8_t* weight = a.weight + (static_cast<int64_t>(ky) * s.kernel_w + kx) * b.stride + b.c;
      acc = column_dot(acc, column_values(&x, 0, 1), column_weights(&weight, 0, 1));
    }
  }
  b.f.finish(acc, y, b.n);
}

// Neighbouring windows of kSide x kSide, kOutputs at a time, share the columns that they have in common. `from`: the
// first column of each row; `column`: bytes from one to the next; `times` such groups are stored, each output `step`
// bytes behind the one before.
constexpr int kOutputs = 4, kMostSide = 5, kMostStride = 2;
template <int kSide>
constexpr int kParcels = (kSide + kColumnRows - 1) / kColumnRows;  // of a column
template <int kSide>
EDGECL_INLINE constexpr int parcel_rows(int g) {
  return kSide - g * kColumnRows < kColumnRows ? kSide - g * kColumnRows : kColumnRows;
}
template <int kSide, int kStride>
__attribute__((noinline)) void neighbours(const Block& block, const ivec* shared_weight, const int8_t* const* from,
                                          int64_t column, int8_t* y, int64_t step, int64_t times) {
  const Finish finish = block.f.finish;
  const ivec start = block.f.start;
  const int channels = block.n;
  ivec weight[kParcels<kSide> * kSide];
  const int8_t* rows[kSide];
  EDGECL_UNROLL
  for (int i = 0; i < kParcels<kSide> * kSide; i++) weight[i] = shared_weight[i];
  EDGECL_UNROLL
  for (int ky = 0; ky < kSide; ky++) rows[ky] = from[ky];
  for (; times > 0; times--) {
    ivec acc[kOutputs];
    EDGECL_UNROLL
    for (int o = 0; o < kOutputs; o++) acc[o] = start;
    EDGECL_UNROLL
    for (int j = 0; j < (kOutputs - 1) * kStride + kSide; j++) {
      EDGECL_UNROLL
      for (int g = 0; g < kParcels<kSide>; g++) {
        const ivec x = column_values(rows + g * kColumnRows, j * column, parcel_rows<kSide>(g));
        EDGECL_UNROLL
        for (int o = 0; o < kOutputs; o++) {
          const int kx = j - o * kStride;
          if (kx >= 0 && kx < kSide) acc[o] = column_dot(acc[o], x, weight[g * kSide + kx]);
        }
      }
    }
    EDGECL_UNROLL
    for (int ky = 0; ky < kSide; ky++) rows[ky] += kOutputs * kStride * column;
    EDGECL_UNROLL
    for (int o = 0; o < kOutputs; o++, y += step) finish(acc[o], y, channels);
  }
}
template <int kSide>
EDGECL_INLINE void gather_weights(const Int8ConvArgs& a, const Block& b, ivec* weight) {
  EDGECL_UNROLL
  for (int g = 0; g < kParcels<kSide>; g++) {
    EDGECL_UNROLL
    for (int kx = 0; kx < kSide; kx++) {
      const int8_t* rows[kColumnRows];
      for (int r = 0; r < kColumnRows; r++)
        rows[r] = a.weight + (static_cast<int64_t>(g * kColumnRows + r) * kSide + kx) * b.stride + b.c;
      weight[g * kSide + kx] = column_weights(rows, 0, parcel_rows<kSide>(g));
    }
  }
}

// One output row of a block of channels, by neighbours. Where these hang over a border, or over the row's end, their
// columns are gathered first.
template <int kSide, int kStride, class InputRow>
EDGECL_INLINE void neighbours_row(const Int8ConvArgs& a, const Block& b, InputRow input_row, int8_t* y) {
  constexpr int kColumns = (kOutputs - 1) * kStride + kSide;
  const int64_t channels = a.x.channels, in_width = a.x.width, out_width = a.y.width, pad = a.shape.pad_left;
  const int8_t* rows[kSide];
  for (int ky = 0; ky < kSide; ky++) rows[ky] = input_row(ky) + b.c;
  ivec weight[kParcels<kSide> * kSide];
  gather_weights<kSide>(a, b, weight);
  const int8_t* from[kSide];
  for (int64_t ow = 0; ow < out_width;) {
    const int64_t left = ow * kStride - pad,
                  inside = left < 0 ? 0 : (in_width - left - kColumns) / (kOutputs * kStride) + 1;
    int64_t times = left + kColumns > in_width ? 0 : inside;
    if (times * kOutputs > out_width - ow) times = (out_width - ow) / kOutputs;
    if (times > 0) {
      for (int ky = 0; ky < kSide; ky++) from[ky] = rows[ky] + left * channels;
      neighbours<kSide, kStride>(b, weight, from, channels, y + ow * channels, channels, times);
      ow += times * kOutputs;
      continue;
    }
    int8_t gathered[kSide][kColumns][kVec], stored[kOutputs][kVec];
    for (int ky = 0; ky < kSide; ky++) {
      for (int j = 0; j < kColumns; j++) {
        const bool outside = left + j < 0 || left + j >= in_width;
        memcpy(gathered[ky][j], outside ? b.border : rows[ky] + (left + j) * channels, kVec);
      }
      from[ky] = gathered[ky][0];
    }
    neighbours<kSide, kStride>(b, weight, from, kVec, stored[0], kVec, 1);
    for (int o = 0; o < kOutputs && ow < out_width; o++, ow++)
      memcpy(y + ow * channels, stored[o], static_cast<size_t>(b.n));
  }
}

}  // namespace

void int8_depthwise(const Int8ConvArgs& a, int part, int n_parts, void* scratch) {
  const ConvShape& s = a.shape;
  const int64_t stride = round_up(a.y.channels, kInt8Channels);
  const int64_t in_row = static_cast<int64_t>(a.x.width) * a.x.channels;
  int8_t* const border = static_cast<int8_t*>(scratch);
  memset(border, a.x.zero_point, static_cast<size_t>(in_row < kInt8Channels ? kInt8Channels : in_row));
  const bool square = s.kernel_h == s.kernel_w && (s.kernel_w == 3 || s.kernel_w == kMostSide) && s.dilation_w == 1 &&
                      s.stride_w <= kMostStride;
  const int form = square ? s.kernel_w * 2 + s.stride_w : 0;
  int64_t row, end;
  share(static_cast<int64_t>(a.y.rows) * a.y.height, part, n_parts, &row, &end);
  for (; row < end; row++) {
    const int8_t* image = a.x.data + row / a.y.height * a.x.height * in_row;
    const int64_t top = row % a.y.height * s.stride_h - s.pad_top;
    const auto input_row = [&](int64_t ky) EDGECL_INLINE_LAMBDA -> const int8_t* {
      const int64_t h = top + ky * s.dilation_h;
      return h < 0 || h >= a.x.height ? border : image + h * in_row;
    };
    for (int64_t c = 0; c < a.y.channels; c += kVec) {
      int8_t* const y = a.y.data + row * a.y.width * a.y.channels + c;
      const Block b = {layer_finish(a, c, stride, a.x.zero_point + kColumnOffset), c, stride, border,
                       static_cast<int>(a.y.channels - c < kVec ? a.y.channels - c : kVec)};
      switch (form) {
        case 3 * 2 + 1:
          neighbours_row<3, 1>(a, b, input_row, y);
          break;
        case 3 * 2 + 2:
          neighbours_row<3, 2>(a, b, input_row, y);
          break;
        case 5 * 2 + 1:
          neighbours_row<5, 1>(a, b, input_row, y);
          break;
        case 5 * 2 + 2:
          neighbours_row<5, 2>(a, b, input_row, y);
          break;
        default:
          for (int64_t ow = 0; ow < a.y.width; ow++)
            any_window(a, b, input_row, ow * s.stride_w - s.pad_left, y + ow * a.y.channels);
      }
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
