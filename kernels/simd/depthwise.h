// Depthwise convolution with the common kernels, forward and (stride 1) input gradient.
// Never here: other kernel sizes, dilation (those take the general engine), weight gradients.
#ifndef EDGECL_KERNELS_SIMD_DEPTHWISE_H_
#define EDGECL_KERNELS_SIMD_DEPTHWISE_H_

#include "kernels/simd/conv_gemm.h"

namespace edgecl::EDGECL_LEVEL {

// As conv_gemm; needs depthwise_suits.
void depthwise(const ConvGemm& conv, int part, int n_parts, void* scratch);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_DEPTHWISE_H_
