// The engine behind the dense convolution's forward pass and input gradient: packed strips through the register tile.
// Never here: the translation of a layer's arguments (conv_forward.cpp, conv_backward_data.cpp), weight gradients.
#ifndef EDGECL_KERNELS_SIMD_CONV_GEMM_H_
#define EDGECL_KERNELS_SIMD_CONV_GEMM_H_

#include "kernels/simd/conv_pack.h"

namespace edgecl::EDGECL_LEVEL {

// out(row, position) = chain over (channel, tap) of fma(weight, source(channel, position + tap), acc), for each of
// `groups` groups of channels. Weight of (group, row, channel, tap) lies at group * weight_group + row * weight_row +
// channel * weight_channel + tap.
struct ConvGemm {
  Tensor source, out;
  const float* weight;
  const float* bias;  // [all rows] or null
  int64_t weight_group, weight_row, weight_channel;
  int groups, rows, channels;  // rows (of out) and channels (of source) per group
  int kernel_w;
  Axis h, w;
  bool accumulate;
  ActivationSpec activation;
};

void conv_gemm(const ConvGemm& conv, int part, int n_parts, void* scratch);
size_t conv_gemm_scratch_bytes(const ConvGemm& conv);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_CONV_GEMM_H_
