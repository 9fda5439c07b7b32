// Convolution with a window of one position, whose source lies as its output does.
// Never here: other windows, strides, input gradients.
#ifndef EDGECL_KERNELS_SIMD_CONV_POINTWISE_H_
#define EDGECL_KERNELS_SIMD_CONV_POINTWISE_H_

#include "kernels/plan/conv_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// As conv_gemm; needs pointwise_suits.
void conv_pointwise(const ConvGemm& conv, int part, int n_parts, void* scratch);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_CONV_POINTWISE_H_
