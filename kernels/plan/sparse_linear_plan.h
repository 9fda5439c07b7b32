// How a sparse linear layer takes the batch: whole vectors and half ones, and what must be copied to have them.
// Never here: multiply-adds, padding itself.
#ifndef EDGECL_KERNELS_PLAN_SPARSE_LINEAR_PLAN_H_
#define EDGECL_KERNELS_PLAN_SPARSE_LINEAR_PLAN_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

constexpr int kMaxVectors = 4;  // vectors of the batch that one pass over the entries takes

// Floats of the shorter vector: 8 where the native one is longer.
EDGECL_ALWAYS_INLINE inline int half_floats(const VectorShape& shape) {
  return shape.floats < 8 ? shape.floats : 8;
}

// Forward pass and input gradient: passes over the entries with `whole` vectors, kMaxVectors a pass, or one and a half.
struct LinearGatherPlan {
  int64_t whole;
  bool half;    // batch rows behind the last whole vector, half a vector at most
  bool direct;  // one pass takes the source as it lies
  // Scratch, in this order, floats: padded vectors of a channel block (none where direct), and the outputs on their
  // way.
  int64_t padded_whole, padded_half, chains, chains_half;
};
LinearGatherPlan plan_linear_gather(const VectorShape& shape, const Tensor& source, const SparsePattern& pattern);

// Weight gradient: the batch in shorter vectors, as it lies or padded.
struct LinearGradientPlan {
  int64_t vectors, pitch;  // of a channel of the batch; floats between channels
  bool as_it_lies;
  int64_t dy, x;  // scratch, in this order, floats
};
LinearGradientPlan plan_linear_gradient(const VectorShape& shape, const SparseLinearBackwardWeightArgs& a);

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_SPARSE_LINEAR_PLAN_H_
