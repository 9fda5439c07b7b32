// What normalisations share.
// Never here: kernel calls.
#ifndef EDGECL_RUNTIME_CORE_OPS_NORM_H_
#define EDGECL_RUNTIME_CORE_OPS_NORM_H_

#include "runtime/core/ops/op_check.h"

namespace edgecl {

// Shape, `n_vectors` dense vectors of one number a channel, epsilon.
inline Status check_norm(const OpCheck& c, uint32_t n_vectors) {
  EDGECL_RETURN_IF_FAILED(c.same_shape_as_input());
  for (uint32_t i = 0; i < n_vectors; i++) EDGECL_RETURN_IF_FAILED(c.vector_param(i, c.x().channels));
  if (c.op.epsilon > 0 && c.op.epsilon <= 1) return Status();
  return corrupt("OPS", c.index, "epsilon", "expected a number in (0, 1], found another");
}

// A batch norm takes mean and variance from the batch of a learn step. Not where it is frozen, and not where a channel
// has a single value, which has no spread: then it goes by its running statistics, which stay.
inline bool follows_batch(const Plan& plan, const format::OpRecord& op, uint32_t rows) {
  const format::TensorRecord& y = plan.tensors[op.output];
  return (op.flags & format::kOpFlagFrozen) == 0 && uint64_t{rows} * y.height * y.width > 1;
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_NORM_H_
