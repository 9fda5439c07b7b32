// What lies in the lanes of a dense linear layer, and the scratch memory of its kernels.
// Never here: multiply-adds, transposes.
#ifndef EDGECL_KERNELS_PLAN_LINEAR_PLAN_H_
#define EDGECL_KERNELS_PLAN_LINEAR_PLAN_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

constexpr int64_t kInputBlock = 64;    // input gradient: inputs whose weights are transposed at once
constexpr int64_t kOutputBlock = 512;  // outputs of these

// True when batch rows rather than features lie in the vector lanes. Always so for more than kExactRows lanes, where no
// level wastes a tenth of them.
bool forward_by_batch(const VectorShape& shape, const LinearForwardArgs& a);
bool backward_by_batch(const VectorShape& shape, const LinearBackwardDataArgs& a);

// Weight gradient: floats of one tap per lane, and then dY as [row][output], rows row_pitch apart.
int64_t linear_tap_floats(const LinearBackwardWeightArgs& a);
int64_t linear_row_pitch(const VectorShape& shape, const LinearBackwardWeightArgs& a);
EDGECL_ALWAYS_INLINE inline bool linear_needs_transpose(const LinearBackwardWeightArgs& a) {
  return a.x.lanes > 1;
}

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_LINEAR_PLAN_H_
