// The engine behind the dense convolution's forward pass and input gradient: packed strips through the register tile.
// Never here: the translation of a layer's arguments (conv_forward.cpp, conv_backward_data.cpp), weight gradients.
#ifndef EDGECL_KERNELS_SIMD_CONV_GEMM_H_
#define EDGECL_KERNELS_SIMD_CONV_GEMM_H_

#include "kernels/plan/conv_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

void conv_gemm(const ConvGemm& conv, int part, int n_parts, void* scratch);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_CONV_GEMM_H_
