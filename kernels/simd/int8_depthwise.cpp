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

constexpr int kOutputs = kInt8Neighbours;

// Where UsualFinish does not do.
__attribute__((noinline)) void finish_outputs(const Block& b, const ivec* acc, int8_t* y, int64_t step) {
  for (int o = 0; o < kOutputs; o++, y += step) b.f.finish(acc[o], y, b.n);
}

// Neighbouring windows of kSide x kSide, kOutputs at a time, share the columns that they have in common. `from`: the
// first column of each row; `column`: bytes from one to the next; `times` such groups are stored, each output `step`
// bytes behind the one before.
template <int kSide>
constexpr int kParcels = (kSide + kColumnRows - 1) / kColumnRows;  // of a column
template <int kSide>
EDGECL_INLINE constexpr int parcel_rows(int g) {
  return kSide - g * kColumnRows < kColumnRows ? kSide - g * kColumnRows : kColumnRows;
}
template <int kSide, int kStride>
__attribute__((noinline)) void neighbours(const Block& block, const ivec* shared_weight, const int8_t* const* from,
                                          int64_t column, int8_t* y, int64_t step, int64_t times) {
  const UsualFinish finish = usual_finish(block.f.finish);
  const bool usual = block.f.usual;
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
    if (usual) {
      EDGECL_UNROLL
      for (int o = 0; o < kOutputs; o++) finish(acc[o], y + o * step, channels);
    } else {
      finish_outputs(block, acc, y, step);
    }
    y += kOutputs * step;
  }
}
template <int kSide>
EDGECL_INLINE void gather_weights(const Int8ConvArgs& a, const Block& b, ivec* weight) {
  EDGECL_UNROLL
  for (int g = 0; g < kParcels<kSide>; g++) {
#pragma GCC unroll 1
    for (int kx = 0; kx < kSide; kx++) {
      const int8_t* rows[kColumnRows];
      for (int r = 0; r < kColumnRows; r++)
        rows[r] = a.weight + (static_cast<int64_t>(g * kColumnRows + r) * kSide + kx) * b.stride + b.c;
      weight[g * kSide + kx] = column_weights(rows, 0, parcel_rows<kSide>(g));
    }
  }
}

// Output rows of a block of channels, by neighbours, out of `packed` input rows, which hold their border: those of the
// strip that begins with the first output row.
template <int kSide, int kStride>
EDGECL_INLINE void neighbours_rows(const Int8ConvArgs& a, const Block& b, const int8_t* packed, int64_t pitch, int n,
                                   int8_t* y) {
  const int64_t channels = a.x.channels, width = a.y.width, groups = width / kOutputs, rest = width % kOutputs;
  ivec weight[kParcels<kSide> * kSide];
  gather_weights<kSide>(a, b, weight);
  const int8_t* from[kSide];
  for (int r = 0; r < n; r++, packed += kStride * pitch, y += width * channels) {
    const auto at = [&](int64_t column) EDGECL_INLINE_LAMBDA {
      for (int ky = 0; ky < kSide; ky++) from[ky] = packed + ky * pitch + column * kStride * channels + b.c;
    };
    if (groups > 0) {
      at(0);
      neighbours<kSide, kStride>(b, weight, from, channels, y, channels, groups);
      if (rest == 0) continue;
      at(width - kOutputs);  // some once more
      neighbours<kSide, kStride>(b, weight, from, channels, y + (width - kOutputs) * channels, channels, 1);
    } else {
      int8_t stored[kOutputs][kVec];
      at(0);
      neighbours<kSide, kStride>(b, weight, from, channels, stored[0], kVec, 1);
      for (int64_t o = 0; o < rest; o++) memcpy(y + o * channels, stored[o], static_cast<size_t>(b.n));
    }
  }
}

// n values equal to the zero point.
EDGECL_INLINE void fill(int8_t* to, int32_t zero_point, int64_t n) {
  memset(to, zero_point, static_cast<size_t>(n));
}

// Input rows [first, first + n) with their border.
void pack_rows(const Int8ConvArgs& a, const int8_t* image, int64_t first, int64_t n, int64_t pitch, int8_t* packed) {
  const int64_t bytes = static_cast<int64_t>(a.x.width) * a.x.channels, left = a.shape.pad_left * a.x.channels;
  const int64_t there = bytes < pitch - left ? bytes : pitch - left;
  for (int64_t h = first; h < first + n; h++, packed += pitch) {
    if (h < 0 || h >= a.x.height) {
      fill(packed, a.x.zero_point, pitch);
      continue;
    }
    fill(packed, a.x.zero_point, left);
    memcpy(packed + left, image + h * bytes, static_cast<size_t>(there));
    fill(packed + left + there, a.x.zero_point, pitch - left - there);
  }
}

}  // namespace

void int8_depthwise(const Int8ConvArgs& a, int part, int n_parts, void* scratch) {
  const ConvShape& s = a.shape;
  const int64_t stride = round_up(a.y.channels, kInt8Channels), channels = a.y.channels;
  const int64_t in_row = static_cast<int64_t>(a.x.width) * a.x.channels, out_row = a.y.width * channels;
  int8_t* const memory = static_cast<int8_t*>(scratch);
  const Int8DepthwisePlan plan = plan_int8_depthwise(a);
  if (!plan.neighbours) fill(memory, a.x.zero_point, plan.pitch);
  int64_t row, end;
  share(static_cast<int64_t>(a.y.rows) * a.y.height, part, n_parts, &row, &end);
  while (row < end) {
    const int8_t* image = a.x.data + row / a.y.height * a.x.height * in_row;
    const int64_t at = row % a.y.height, top = at * s.stride_h - s.pad_top;
    int64_t n = end - row < a.y.height - at ? end - row : a.y.height - at;
    if (n > plan.rows) n = plan.rows;
    if (plan.neighbours) pack_rows(a, image, top, (n - 1) * s.stride_h + s.kernel_h, plan.pitch, memory);
    for (int64_t c = 0; c < channels; c += kVec) {
      int8_t* const y = a.y.data + row * out_row + c;
      const Block b = {layer_finish(a, c, stride, a.x.zero_point + kColumnOffset), c, stride, memory,
                       static_cast<int>(channels - c < kVec ? channels - c : kVec)};
      const int rows = static_cast<int>(n);
      switch (plan.neighbours ? s.kernel_w * 2 + s.stride_w : 0) {
        case 3 * 2 + 1:
          neighbours_rows<3, 1>(a, b, memory, plan.pitch, rows, y);
          break;
        case 3 * 2 + 2:
          neighbours_rows<3, 2>(a, b, memory, plan.pitch, rows, y);
          break;
        case 5 * 2 + 1:
          neighbours_rows<5, 1>(a, b, memory, plan.pitch, rows, y);
          break;
        case 5 * 2 + 2:
          neighbours_rows<5, 2>(a, b, memory, plan.pitch, rows, y);
          break;
        default:
          const auto input_row = [&](int64_t ky) EDGECL_INLINE_LAMBDA -> const int8_t* {
            const int64_t h = top + ky * s.dilation_h;
            return h < 0 || h >= a.x.height ? memory : image + h * in_row;
          };
          for (int64_t ow = 0; ow < a.y.width; ow++)
            any_window(a, b, input_row, ow * s.stride_w - s.pad_left, y + ow * channels);
      }
    }
    row += n;
  }
}

}  // namespace edgecl::EDGECL_LEVEL
