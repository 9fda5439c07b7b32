// Convolution in int8: scalar reference, dense and depthwise.
// Never here: the choice of scales.
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// The value of a tap minus the zero point; 0 outside.
int32_t tap_value(const Int8ConvArgs& a, int64_t row, int64_t h, int64_t w, int64_t c) {
  const Int8Tensor& x = a.x;
  if (h < 0 || h >= x.height || w < 0 || w >= x.width) return 0;
  return x.data[((row * x.height + h) * x.width + w) * x.channels + c] - x.zero_point;
}

int8_t finish(const Int8ConvArgs& a, int32_t sum, int64_t channel) {
  const int64_t stride = (a.y.channels + kInt8Channels - 1) / kInt8Channels * kInt8Channels;
  const int32_t* table = a.table + channel;
  const int32_t y =
      requantize(table[kInt8Bias * stride] + sum, table[kInt8Multiplier * stride], table[kInt8Shift * stride]);
  const int32_t moved = y + a.y.zero_point;
  return static_cast<int8_t>(moved < a.lo ? a.lo : moved > a.hi ? a.hi : moved);
}

// value(row, top, left, channel) for each output, whose window's first tap is at (top, left).
template <class Sum>
void forward(const Int8ConvArgs& a, int part, int n_parts, Sum sum) {
  const Int8Tensor& y = a.y;
  const Share positions = share_of(y.positions(), part, n_parts);
  for (int64_t p = positions.begin; p < positions.end; p++) {
    const int64_t row = p / (static_cast<int64_t>(y.height) * y.width), oh = p / y.width % y.height, ow = p % y.width;
    const int64_t top = oh * a.shape.stride_h - a.shape.pad_top, left = ow * a.shape.stride_w - a.shape.pad_left;
    for (int64_t o = 0; o < y.channels; o++) y.data[p * y.channels + o] = finish(a, sum(row, top, left, o), o);
  }
}

}  // namespace

void int8_conv(const Int8ConvArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int64_t k_total = static_cast<int64_t>(s.kernel_h) * s.kernel_w * a.x.channels;
  const int64_t groups = (k_total + kInt8Group - 1) / kInt8Group;
  forward(a, part, n_parts, [&](int64_t row, int64_t top, int64_t left, int64_t o) {
    const int8_t* weight = a.weight + o / kInt8Channels * groups * kInt8Channels * kInt8Group;
    int32_t sum = 0;
    int64_t k = 0;
    for (int ky = 0; ky < s.kernel_h; ky++)
      for (int kx = 0; kx < s.kernel_w; kx++)
        for (int64_t c = 0; c < a.x.channels; c++, k++) {
          const int32_t w = weight[(k / kInt8Group * kInt8Channels + o % kInt8Channels) * kInt8Group + k % kInt8Group];
          const int32_t x = tap_value(a, row, top + static_cast<int64_t>(ky) * s.dilation_h,
                                      left + static_cast<int64_t>(kx) * s.dilation_w, c);
          sum += w * x;
        }
    return sum;
  });
}

void int8_depthwise(const Int8ConvArgs& a, int part, int n_parts, void*) {
  const ConvShape& s = a.shape;
  const int64_t stride = (a.y.channels + kInt8Channels - 1) / kInt8Channels * kInt8Channels;
  forward(a, part, n_parts, [&](int64_t row, int64_t top, int64_t left, int64_t c) {
    int32_t sum = 0;
    for (int ky = 0; ky < s.kernel_h; ky++)
      for (int kx = 0; kx < s.kernel_w; kx++) {
        const int32_t x = tap_value(a, row, top + static_cast<int64_t>(ky) * s.dilation_h,
                                    left + static_cast<int64_t>(kx) * s.dilation_w, c);
        sum += a.weight[(static_cast<int64_t>(ky) * s.kernel_w + kx) * stride + c] * x;
      }
    return sum;
  });
}

}  // namespace edgecl::reference
