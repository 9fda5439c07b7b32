// Scratch memory of int8 convolutions.
// Never here: the kernels.
#include "kernels/plan/int8_plan.h"

namespace edgecl {

using namespace plan;

// The packed windows of a group, or input rows; a copy may run past the end of the last.
uint64_t ScratchTable::int8_conv_scratch_bytes(const Int8ConvArgs& a) const {
  if (tiled.floats == 1) return 0;
  const Int8Plan p = plan_int8_conv(tiled, a);
  const int64_t values = p.in_place ? p.pitch * p.image_rows(a.shape, p.rows < a.y.height ? p.rows : a.y.height)
                                    : p.row_values * p.positions;
  return static_cast<uint64_t>(values) * sizeof(int16_t) + static_cast<uint64_t>(p.weight_bytes(a)) + 128;
}

// The rows of a strip, or one that is all zero point; a vector may be read from the end of the last.
uint64_t ScratchTable::int8_depthwise_scratch_bytes(const Int8ConvArgs& a) const {
  if (tiled.floats == 1) return 0;
  const Int8DepthwisePlan p = plan_int8_depthwise(a);
  const int64_t out_rows = p.rows < a.y.height ? p.rows : a.y.height;
  const int64_t rows = p.neighbours ? (out_rows - 1) * a.shape.stride_h + a.shape.kernel_h : 1;
  return static_cast<uint64_t>(rows * p.pitch) + 64;
}

}  // namespace edgecl
