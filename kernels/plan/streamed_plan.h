// Scratch memory of the kernels that wait for memory: what they hold of a row or of a plane.
// Never here: the kernels.
#ifndef EDGECL_KERNELS_PLAN_STREAMED_PLAN_H_
#define EDGECL_KERNELS_PLAN_STREAMED_PLAN_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

constexpr int kInputTable = 256;  // results of a raw uint8 channel
constexpr int kBundleWords = 32;  // words of a code whose keys and ties a bundling part holds at once

// n floats and room for a whole vector behind them.
EDGECL_ALWAYS_INLINE inline int64_t with_slack(int64_t n) {
  return (n + 31) / 16 * 16;
}

// Group normalisation's backward pass, in floats: two sums a row, two of a period, the means of each group of rows
// repeated, three of a period. A period is the 16 virtual lanes of each lane of a group.
struct GroupNormGradientPieces {
  int64_t rows, period, centre;
  EDGECL_ALWAYS_INLINE int64_t floats() const { return 2 * rows + 5 * period + centre; }
};
EDGECL_ALWAYS_INLINE inline GroupNormGradientPieces group_norm_gradient_pieces(const GroupNormBackwardArgs& a) {
  const int64_t period = with_slack(kVirtualLanes * static_cast<int64_t>(a.dy.lanes));
  return {with_slack(a.dy.rows()), period, a.dy.groups * period};
}

// L2 and layer normalisation work on this many columns at a time (a column: the channels of one position of one row), so that
// later passes find the first one's numbers in the cache.
constexpr int64_t kNormalizeColumns = 64;

// The 16 virtual lanes of the columns of a block, in floats.
EDGECL_ALWAYS_INLINE inline int64_t normalize_lanes(const Tensor& x) {
  const int64_t columns = x.plane() < kNormalizeColumns ? x.plane() : kNormalizeColumns;
  return with_slack(kVirtualLanes * columns);
}

// The 16 virtual lanes of all batch rows of a group, in floats; of one row they are registers.
EDGECL_ALWAYS_INLINE inline int64_t softmax_lanes(const Tensor& x) {
  return x.lanes == 1 ? 0 : with_slack(kVirtualLanes * static_cast<int64_t>(x.lanes));
}

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_STREAMED_PLAN_H_
