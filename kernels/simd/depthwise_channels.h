// Depthwise convolution of one batch row, forward: channels are the lanes.
// Never here: several batch rows (depthwise.h), what depthwise_row.h does better, gradients.
#ifndef EDGECL_KERNELS_SIMD_DEPTHWISE_CHANNELS_H_
#define EDGECL_KERNELS_SIMD_DEPTHWISE_CHANNELS_H_

#include "kernels/plan/conv_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// As conv_gemm; needs depthwise_channels_suits.
void depthwise_channels(const ConvGemm& conv, int part, int n_parts, void* scratch);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_DEPTHWISE_CHANNELS_H_
