// Scratch memory of int8 convolutions.
// Never here: the kernels.
#include "kernels/plan/int8_plan.h"

namespace edgecl {

using namespace plan;

// The packed windows of a group; a copy may run past the end of the last.
uint64_t ScratchTable::int8_conv_scratch_bytes(const Int8ConvArgs& a) const {
  if (tiled.floats == 1) return 0;
  const Int8Plan p = plan_int8_conv(a);
  return static_cast<uint64_t>(p.row_values * p.positions) * sizeof(int16_t) + 128;
}

// A row of the input that is all zero point.
uint64_t ScratchTable::int8_depthwise_scratch_bytes(const Int8ConvArgs& a) const {
  if (tiled.floats == 1) return 0;
  return static_cast<uint64_t>(round_up(static_cast<int64_t>(a.x.width) * a.x.channels, 64)) + 64;
}

}  // namespace edgecl
