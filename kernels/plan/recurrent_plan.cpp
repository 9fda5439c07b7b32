// Scratch memory of the recurrent kernels: the same for any number of lanes from a block's on.
// Never here: the kernels.
#include "kernels/plan/recurrent_plan.h"

namespace edgecl {

using namespace plan;

// The scalar form: what a step leaves, the states h and c, the inputs of a step.
uint64_t ScratchTable::recurrent_forward_scratch_bytes(const RecurrentForwardArgs& a) const {
  if (tiled.floats == 1)
    return static_cast<uint64_t>((a.shape.kept() + 2) * static_cast<int64_t>(a.y.channels) + a.x.channels) * 4;
  return static_cast<uint64_t>(recurrent_forward_pieces(a).floats()) * sizeof(float);
}

uint64_t ScratchTable::recurrent_steps_backward_scratch_bytes(const RecurrentStepsBackwardArgs& a) const {
  if (tiled.floats == 1) return static_cast<uint64_t>(a.y.channels) * 3 * sizeof(float);
  return static_cast<uint64_t>(recurrent_backward_pieces(a).floats()) * sizeof(float);
}

uint64_t ScratchTable::recurrent_data_backward_scratch_bytes(const RecurrentDataBackwardArgs& a) const {
  if (tiled.floats == 1) return 0;
  return static_cast<uint64_t>(with_slack(a.shape.gates() * static_cast<int64_t>(a.y.channels) * kRecurrentChunk)) *
         sizeof(float);
}

uint64_t ScratchTable::recurrent_weight_backward_scratch_bytes(const RecurrentWeightBackwardArgs&) const {
  return 0;
}

}  // namespace edgecl
