// Depthwise convolution with the common kernels, forward and (stride 1) input gradient.
// Never here: other kernel sizes, dilation (those take the general engine), weight gradients.
#ifndef EDGECL_KERNELS_SIMD_DEPTHWISE_H_
#define EDGECL_KERNELS_SIMD_DEPTHWISE_H_

#include "kernels/simd/conv_gemm.h"

namespace edgecl::EDGECL_LEVEL {

// True for one input channel a group, 3x3 or 5x5 taps, no dilation, stride 1 or 2 on both axes; as an input gradient
// also stride 1 only.
bool depthwise_suits(const ConvGemm& conv);
// As conv_gemm; needs depthwise_suits.
void depthwise(const ConvGemm& conv, int part, int n_parts, void* scratch);
size_t depthwise_scratch_bytes(const ConvGemm& conv);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_DEPTHWISE_H_
