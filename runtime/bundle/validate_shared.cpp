// SHARED says which gradients of parameters are added to earlier ones: those that the backward list and PARAMS ask for.
// Never here: the backward list itself (validate_backward.cpp).
#include <string.h>

#include "runtime/bundle/validate.h"

namespace edgecl {
namespace {

static_assert(format::kOpKinds < 64, "kind and place of a use fit into eight bits");

// The bits of a record of the backward list whose parameters an earlier one has met.
Status find_added(const Plan& plan, uint32_t k, uint8_t* first_use, uint32_t* added) {
  const format::BackwardRecord& record = plan.backward[k];
  const format::OpRecord& op = plan.ops[record.op];
  *added = 0;
  for (uint32_t slot = 0; slot < 4; slot++) {
    if ((record.train_params >> slot & 1) == 0) continue;
    const uint32_t p = op.params[slot];
    const uint8_t use = static_cast<uint8_t>(op.kind | slot << 6);
    if (first_use[p] == 0) {
      first_use[p] = use;
      continue;
    }
    if (first_use[p] != use) {
      return corrupt("OPS", record.op, "params",
                     "expected operators of one kind to share parameter %u in one place, found another", p);
    }
    if (p == plan.model->head_weight || p == plan.model->head_bias) {
      return corrupt("OPS", record.op, "params",
                     "expected the layer of the logits to share no parameter that trains, found %u in this one", p);
    }
    *added |= 1u << slot;
  }
  return Status();
}

}  // namespace

Status validate_shared(const Plan& plan, const CheckScratch& scratch) {
  memset(scratch.uses, 0, plan.params.n);
  uint32_t left = plan.shared.n;  // BACKWARD descends by operators, SHARED ascends
  for (uint32_t k = 0; k < plan.backward.n; k++) {
    uint32_t expected = 0;
    EDGECL_RETURN_IF_FAILED(find_added(plan, k, scratch.uses, &expected));
    const uint32_t op = plan.backward[k].op;
    const bool listed = left > 0 && plan.shared[left - 1].op == op;
    if (listed) left--;
    if (listed != (expected != 0) || (listed && plan.shared[left].params != expected)) {
      return corrupt("SHARED", listed ? left : format::kNone, "params",
                     "expected bits %u for operator %u (whose parameters have a gradient already), found %u", expected,
                     op, listed ? plan.shared[left].params : 0);
    }
  }
  if (left > 0) {
    return corrupt("SHARED", left - 1, "op",
                   "expected operators of the backward list whose parameters have a gradient already, ascending, "
                   "found %u",
                   plan.shared[left - 1].op);
  }
  return Status();
}

}  // namespace edgecl
