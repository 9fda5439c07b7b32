// Dense convolution, input gradient: each phase of the stride is a stride-1 convolution of dY with a subset of the
// taps. Never here: packing, tiles, splitting.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/conv_gemm.h"
#include "kernels/simd/depthwise.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

ConvGemm phase_gemm(const ConvBackwardDataArgs& a, int phase_h, int phase_w) {
  const ConvShape& s = a.shape;
  ConvGemm conv = {};
  conv.source = a.dy;
  conv.out = a.dx;
  conv.weight = a.weight;
  conv.groups = s.groups;
  conv.rows = a.dx.channels / s.groups;
  conv.channels = a.dy.channels / s.groups;
  conv.weight_row = static_cast<int64_t>(s.kernel_h) * s.kernel_w;
  conv.weight_channel = conv.weight_row * conv.rows;
  conv.weight_group = conv.weight_channel * conv.channels;
  conv.kernel_w = s.kernel_w;
  conv.h = gradient_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.dx.height, phase_h);
  conv.w = gradient_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.dx.width, phase_w);
  conv.accumulate = a.accumulate;
  return conv;
}

// The depthwise kernel reads weights as [output row][tap]: so it is only for one output channel a group.
bool takes_depthwise(const ConvGemm& conv) {
  return conv.rows == 1 && depthwise_suits(conv);
}

}  // namespace

void conv_backward_data(const ConvBackwardDataArgs& a, int part, int n_parts, void* scratch) {
  for (int h = 0; h < a.shape.stride_h; h++)
    for (int w = 0; w < a.shape.stride_w; w++) {
      const ConvGemm conv = phase_gemm(a, h, w);
      if (takes_depthwise(conv))
        depthwise(conv, part, n_parts, scratch);
      else
        conv_gemm(conv, part, n_parts, scratch);
    }
}

size_t conv_backward_data_scratch_bytes(const ConvBackwardDataArgs& a) {
  size_t most = 0;
  for (int h = 0; h < a.shape.stride_h; h++)
    for (int w = 0; w < a.shape.stride_w; w++) {
      const ConvGemm conv = phase_gemm(a, h, w);
      const size_t bytes = takes_depthwise(conv) ? depthwise_scratch_bytes(conv) : conv_gemm_scratch_bytes(conv);
      if (bytes > most) most = bytes;
    }
  return most;
}

}  // namespace edgecl::EDGECL_LEVEL
