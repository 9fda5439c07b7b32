// How recurrent layers cut batch rows and steps into blocks, and the scratch memory of their kernels.
// Never here: the kernels.
#ifndef EDGECL_KERNELS_PLAN_RECURRENT_PLAN_H_
#define EDGECL_KERNELS_PLAN_RECURRENT_PLAN_H_

#include "kernels/plan/streamed_plan.h"

namespace edgecl::plan {

constexpr int64_t kRecurrentLanes = 32;       // of a block: more are walked block by block
constexpr int64_t kRecurrentPositions = 128;  // steps times lanes of a block that is transposed at once

struct RecurrentBlock {
  int64_t lanes, steps;
};
// Steps are many enough for products to be worth it, and whole vectors where lanes and steps lie together.
EDGECL_ALWAYS_INLINE inline RecurrentBlock recurrent_block(int64_t lanes, int64_t width) {
  RecurrentBlock b = {lanes < kRecurrentLanes ? lanes : kRecurrentLanes, 1};
  while (b.steps < width && 2 * b.steps * b.lanes <= kRecurrentPositions &&
         (b.steps * b.lanes % kVirtualLanes != 0 || b.steps * b.lanes < 32))
    b.steps *= 2;
  return b;
}

// Of one part, in floats; each piece has room for a whole vector behind it.
struct RecurrentForwardPieces {
  int64_t start, steps, states, cells;  // [gates * H], [steps][lanes][kept * H], [steps + 2][lanes][H], [lanes][H]
  int64_t panels;                       // weight_r as one batch row reads it, or 0
  EDGECL_ALWAYS_INLINE int64_t floats() const { return start + steps + states + cells + panels; }
};
// One batch row reads all of weight_r in every step. Beyond the first cache that is twice as fast where what a tile reads
// lies together.
constexpr int64_t kPanelWeights = 1 << 14;
constexpr int64_t kPanelSteps = 8;  // fewer are not worth the copy
EDGECL_ALWAYS_INLINE inline int64_t recurrent_panels(const RecurrentForwardArgs& a) {
  const int64_t columns = a.shape.gates() * static_cast<int64_t>(a.y.channels);
  if (a.y.rows() > 1 || a.y.width < kPanelSteps || a.y.channels * columns <= kPanelWeights) return 0;
  return with_slack(a.y.channels * round_up(columns, kVirtualLanes));
}
EDGECL_ALWAYS_INLINE inline RecurrentForwardPieces recurrent_forward_pieces(const RecurrentForwardArgs& a) {
  const RecurrentBlock b = recurrent_block(a.y.lanes, a.y.width);
  const int64_t states = a.y.channels * b.lanes;
  return {with_slack(a.y.channels * static_cast<int64_t>(a.shape.gates())),
          a.kept ? 0 : with_slack(b.steps * states * a.shape.kept()), with_slack((b.steps + 2) * states),
          with_slack(states), recurrent_panels(a)};
}

struct RecurrentBackwardPieces {
  int64_t transposed, gradients, states;  // [gates * H][H], [steps][lanes][H], 3 x [lanes][H]
  EDGECL_ALWAYS_INLINE int64_t floats() const { return transposed + gradients + 3 * states; }
};
EDGECL_ALWAYS_INLINE inline RecurrentBackwardPieces recurrent_backward_pieces(const RecurrentStepsBackwardArgs& a) {
  const RecurrentBlock b = recurrent_block(a.y.lanes, a.y.width);
  const int64_t hidden = a.y.channels;
  return {with_slack(hidden * hidden * a.shape.gates()), with_slack(b.steps * b.lanes * hidden),
          with_slack(b.lanes * hidden)};
}

// Positions (steps times lanes of one group) whose gradients meet weights at once.
constexpr int64_t kRecurrentChunk = 96;

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_RECURRENT_PLAN_H_
