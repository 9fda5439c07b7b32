// Nothing in a plan is there for nobody; the scratch memory of all checks.
// Never here: rules of single operators, the backward list.
#include <string.h>

#include "runtime/bundle/validate.h"

namespace edgecl {

CheckScratch take_check_scratch(Arena* arena, uint32_t n_tensors, uint32_t n_params) {
  CheckScratch scratch;
  scratch.marks = arena->take<uint8_t>(n_tensors);
  scratch.forward_of = arena->take<uint16_t>(n_tensors);
  scratch.gradient_of = arena->take<uint16_t>(n_tensors);
  scratch.owner = arena->take<uint16_t>(n_tensors);
  scratch.lifetimes = arena->take<Lifetime>(n_tensors);
  scratch.uses = arena->take<uint8_t>(n_params);
  return scratch;
}

Status validate_use(const Plan& plan, const CheckScratch& scratch) {
  uint8_t* needed = scratch.marks;
  memset(needed, 0, plan.tensors.n);
  memset(scratch.uses, 0, plan.params.n);
  needed[plan.model->logits_tensor] = 1;
  if (plan.model->embedding_tensor != format::kNone) needed[plan.model->embedding_tensor] = 1;
  for (const format::TapRecord& tap : plan.taps) {
    if (tap.tensor < plan.tensors.n) needed[tap.tensor] = 1;  // the writer asks before TAPS was checked
  }
  for (uint32_t i = plan.ops.n; i-- > 0;) {
    const format::OpRecord& op = plan.ops[i];
    if (needed[op.output] == 0) {
      return corrupt("OPS", i, "output",
                     "expected an operator that logits, embedding or a tap need, found '%s' that nothing does",
                     plan.string(op.name));
    }
    for (uint32_t k = 0; k < op.n_inputs; k++) needed[op.inputs[k]] = 1;
    for (const uint32_t p : op.params) {
      if (p != format::kNone) scratch.uses[p] = 1;
    }
  }
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (scratch.uses[p] == 0)
      return corrupt("PARAMS", p, "name", "expected a parameter that an operator uses, found '%s' that none does",
                     plan.string(plan.params[p].name));
  }
  return Status();
}

}  // namespace edgecl
