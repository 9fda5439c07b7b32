// How the kernels of kernels/moments.h cut their work, and their scratch memory.
// Never here: the kernels.
#ifndef EDGECL_KERNELS_PLAN_MOMENTS_PLAN_H_
#define EDGECL_KERNELS_PLAN_MOMENTS_PLAN_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

constexpr int64_t kStrip = 24;       // rows of a panel that meet one block of columns while they are in the first cache
constexpr int64_t kChain = 128;      // columns of that block
constexpr int64_t kSolveStrips = 4;  // strips of kPanelColumns right-hand sides that are solved together
constexpr int64_t kCovarianceSums = 64;  // vectors that are subtracted while covariance is in registers once

EDGECL_ALWAYS_INLINE inline int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
EDGECL_ALWAYS_INLINE inline int64_t panels_of(int64_t d) {
  return (d + kPanelColumns - 1) / kPanelColumns;
}

// The panels of a packed triangle that a part works on: contiguous, each part about as many values as the others.
struct PanelShare {
  int64_t begin, end;
};
PanelShare panel_share(int64_t d, int part, int n_parts);

// Numbers of two rows of q that are multiplied at once, as pairs of int16: the smallest of 1, 2, 4, 8, 16 that holds
// n rows.
EDGECL_ALWAYS_INLINE inline int64_t row_pairs(int64_t n) {
  int64_t pairs = 1;
  while (2 * pairs < n) pairs *= 2;
  return pairs;
}

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_MOMENTS_PLAN_H_
