// Depthwise convolution of one batch row with a window of 3x3, forward.
// Never here: several batch rows (depthwise.h), other windows and narrow maps (depthwise_channels.h), gradients.
#ifndef EDGECL_KERNELS_SIMD_DEPTHWISE_ROW_H_
#define EDGECL_KERNELS_SIMD_DEPTHWISE_ROW_H_

#include "kernels/plan/conv_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// As conv_gemm; needs depthwise_row_suits.
void depthwise_row(const ConvGemm& conv, int part, int n_parts, void* scratch);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_DEPTHWISE_ROW_H_
