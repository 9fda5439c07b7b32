// Dense convolution, forward pass: the layer's arguments in the engine's terms; plain depthwise layers go to their own
// kernel. Never here: packing, tiles, splitting.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/conv_gemm.h"
#include "kernels/simd/conv_pointwise.h"
#include "kernels/simd/depthwise.h"
#include "kernels/simd/depthwise_channels.h"
#include "kernels/simd/depthwise_row.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

void conv_forward(const ConvForwardArgs& a, int part, int n_parts, void* scratch) {
  const ConvGemm conv = forward_gemm(a);
  if (depthwise_row_suits(kShape, conv))
    depthwise_row(conv, part, n_parts, scratch);
  else if (depthwise_channels_suits(kShape, conv))
    depthwise_channels(conv, part, n_parts, scratch);
  else if (depthwise_suits(conv))
    depthwise(conv, part, n_parts, scratch);
  else if (pointwise_suits(kShape, conv))
    conv_pointwise(conv, part, n_parts, scratch);
  else
    conv_gemm(conv, part, n_parts, scratch);
}

}  // namespace edgecl::EDGECL_LEVEL
