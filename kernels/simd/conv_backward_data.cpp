// Dense convolution, input gradient: each phase of the stride is a stride-1 convolution of dY with a subset of the
// taps. Never here: packing, tiles, splitting.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/conv_gemm.h"
#include "kernels/simd/depthwise.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

void conv_backward_data(const ConvBackwardDataArgs& a, int part, int n_parts, void* scratch) {
  const ConvShape& s = a.shape;
  // Phases beyond the size of dX have no positions.
  const int down = s.stride_h < a.dx.height ? s.stride_h : a.dx.height;
  const int across = s.stride_w < a.dx.width ? s.stride_w : a.dx.width;
  for (int i = 0; i < down; i++) {
    const Axis h = gradient_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.dx.height, i);
    for (int j = 0; j < across; j++) {
      const Axis w = gradient_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.dx.width, j);
      const ConvGemm conv = phase_gemm(a, h, w);
      if (depthwise_suits_gradient(conv))
        depthwise(conv, part, n_parts, scratch);
      else
        conv_gemm(conv, part, n_parts, scratch);
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
