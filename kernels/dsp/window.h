// Where an output of an int8 convolution lies and what its window reads, in 32 bits: shared by the kernels of 32-bit cores.
// Never here: products.
#ifndef EDGECL_KERNELS_DSP_WINDOW_H_
#define EDGECL_KERNELS_DSP_WINDOW_H_

#include "kernels/reference/common.h"

namespace edgecl::dsp {

// Entries of a row of a layer's table.
[[maybe_unused]] static int32_t table_stride(const Int8ConvArgs& a) {
  return (a.y.channels + kInt8Channels - 1) / kInt8Channels * kInt8Channels;
}

// The part's positions.
struct Positions {
  int32_t begin, end;
};
[[maybe_unused]] static Positions positions_of(const Int8ConvArgs& a, int part, int n_parts) {
  const reference::Share share = reference::share_of(a.y.positions(), part, n_parts);
  return {static_cast<int32_t>(share.begin), static_cast<int32_t>(share.end)};
}

// An output's place, and the first tap of its window.
struct Window {
  int32_t row, top, left;
};
[[maybe_unused]] static Window window_of(const Int8ConvArgs& a, int32_t position) {
  const Int8Tensor& y = a.y;
  const int32_t row = position / (y.height * y.width);
  return {row, position / y.width % y.height * a.shape.stride_h - a.shape.pad_top,
          position % y.width * a.shape.stride_w - a.shape.pad_left};
}

// Null where the tap lies in the border.
[[maybe_unused]] static const int8_t* tap_of(const Int8ConvArgs& a, const Window& at, int32_t ky, int32_t kx) {
  const int32_t h = at.top + ky * a.shape.dilation_h, w = at.left + kx * a.shape.dilation_w;
  if (h < 0 || h >= a.x.height || w < 0 || w >= a.x.width) return nullptr;
  return a.x.data + ((at.row * a.x.height + h) * a.x.width + w) * a.x.channels;
}

}  // namespace edgecl::dsp

#endif  // EDGECL_KERNELS_DSP_WINDOW_H_
