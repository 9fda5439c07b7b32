// Finds the kind of a head, and the plan's last layer.
// Never here: what one kind does (<kind>_head.cpp).
#include "runtime/heads/head.h"

#include "runtime/core/recipe.h"
#include "runtime/core/subset.h"

namespace edgecl {

const HeadKind* head_kind(uint32_t number_of_head) {
  switch (number_of_head) {
#define EDGECL_HEAD_CASE(constant, number, kind) \
  case constant:                                 \
    return is_built(EDGECL_BUILT_HEADS, kHeadNames[number]) ? &kind : nullptr;
    EDGECL_HEADS(EDGECL_HEAD_CASE)
#undef EDGECL_HEAD_CASE
    default:
      return nullptr;
  }
}

bool is_of_last_layer(const Plan& plan, uint32_t param) {
  return param != format::kNone && (param == plan.model->head_weight || param == plan.model->head_bias);
}

// Without a layer of its own the whole plan is encoder.
uint32_t last_layer_op(const Plan& plan) {
  for (uint32_t i = plan.ops.n; i-- > 0;) {
    if (is_of_last_layer(plan, plan.ops[i].params[0])) return i;
  }
  return plan.ops.n;
}

Status check_has_columns(const Plan& plan) {
  if (plan.model->head_weight != format::kNone) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected a bundle with a head whose columns are classes; found none in \"%s\"; export it with a head",
                 plan.string(plan.model->name));
}

}  // namespace edgecl
