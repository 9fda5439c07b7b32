// The op under check with its shapes, and the checks that operators share.
// Never here: checks of one operator, checks of indices (runtime/bundle/validate_ops.cpp).
#ifndef EDGECL_RUNTIME_CORE_OPS_OP_CHECK_H_
#define EDGECL_RUNTIME_CORE_OPS_OP_CHECK_H_

#include "runtime/core/check.h"
#include "runtime/core/plan.h"
#include "runtime/core/status.h"

namespace edgecl {

// All indices of the record are good when an OpCheck exists.
struct OpCheck {
  const Plan& plan;
  uint32_t index;
  const format::OpRecord& op;

  const format::TensorRecord& x(uint32_t i = 0) const { return plan.tensors[op.inputs[i]]; }
  const format::TensorRecord& y() const { return plan.tensors[op.output]; }
  const format::ParamRecord& param(uint32_t i) const { return plan.params[op.params[i]]; }
  bool has_param(uint32_t i) const { return op.params[i] != format::kNone; }

  Status range(const char* field, int64_t value, int64_t low, int64_t high) const;
  Status output_shape(uint64_t channels, uint64_t height, uint64_t width) const;
  Status same_shape_as_input() const { return output_shape(x().channels, x().height, x().width); }
  Status vector_param(uint32_t slot, uint32_t n) const;   // dense [n]
  Status view_param(uint32_t slot, uint32_t rows) const;  // int32 [rows][kViewRank]
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_OP_CHECK_H_
