// Dense convolution, forward pass: the layer's arguments in the engine's terms; plain depthwise layers go to their own
// kernel. Never here: packing, tiles, splitting.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/conv_gemm.h"
#include "kernels/simd/depthwise.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

ConvGemm forward_gemm(const ConvForwardArgs& a) {
  const ConvShape& s = a.shape;
  ConvGemm conv = {};
  conv.source = a.x;
  conv.out = a.y;
  conv.weight = a.weight;
  conv.bias = a.bias;
  conv.groups = s.groups;
  conv.rows = a.y.channels / s.groups;
  conv.channels = a.x.channels / s.groups;
  conv.weight_channel = static_cast<int64_t>(s.kernel_h) * s.kernel_w;
  conv.weight_row = conv.weight_channel * conv.channels;
  conv.weight_group = conv.weight_row * conv.rows;
  conv.kernel_w = s.kernel_w;
  conv.h = forward_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.y.height);
  conv.w = forward_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.y.width);
  conv.activation = a.activation;
  return conv;
}

}  // namespace

void conv_forward(const ConvForwardArgs& a, int part, int n_parts, void* scratch) {
  const ConvGemm conv = forward_gemm(a);
  if (depthwise_suits(conv))
    depthwise(conv, part, n_parts, scratch);
  else
    conv_gemm(conv, part, n_parts, scratch);
}
size_t conv_forward_scratch_bytes(const ConvForwardArgs& a) {
  const ConvGemm conv = forward_gemm(a);
  return depthwise_suits(conv) ? depthwise_scratch_bytes(conv) : conv_gemm_scratch_bytes(conv);
}

}  // namespace edgecl::EDGECL_LEVEL
