// One op of a plan as kernel calls: the rule of its kind does it, behind what all kinds share.
// Never here: kernels of one kind (ops/), what is done with a call (run: executor.cpp; measured: executor_scratch.cpp).
#include "runtime/core/executor_ops.h"

#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {

uint64_t added_gradient_begin(const Plan& plan, uint32_t op, uint32_t slot) {
  const uint32_t added = plan.added_gradients(op);
  uint64_t floats = 0;
  for (uint32_t before = 0; before < slot; before++) {
    if ((added >> before & 1) == 0) continue;
    const uint64_t capacity = param_capacity(plan.params[plan.ops[op].params[before]]);
    floats += (capacity + kVirtualLanes - 1) / kVirtualLanes * kVirtualLanes;
  }
  return floats;
}

namespace {

// These two stand apart, so that their arguments are not on the stack while the rule's kernels run.
EDGECL_ONE_COPY void undo_activation(const Pass& pass, const format::BackwardRecord& record, const OpRule& rule,
                                     const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const ActivationSpec activation = op_activation(op);
  if (activation.kind == Activation::kNone || rule.undoes_activation) return;
  const Tensor dy = pass.tensor(record.output_gradient);
  emit<call::activation_backward>(
      visitor, {nullptr, pass.tensor(op.output).data, dy.data, dy.data, dy.size(), false, activation});
}

EDGECL_ONE_COPY void visit_sums(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const uint32_t added = pass.plan().added_gradients(record.op);
  if (added == 0) return;
  const format::OpRecord& op = pass.op(record.op);
  // Kernels of a layer leave out both gradients with that of the weight.
  if (op_rule(op.kind)->layer && pass.skips_gradient(op.params[0])) return;
  for (uint32_t slot = 0; slot < 4; slot++) {
    const float* gradient = (added >> slot & 1) != 0 ? pass.gradient(record, slot) : nullptr;
    if (gradient == nullptr) continue;
    const uint32_t p = op.params[slot];
    const bool measuring = pass.measuring();
    emit<call::accumulate>(visitor, {gradient, measuring ? Pass::unmapped() : pass.net.work.params[p].gradient,
                                     measuring ? static_cast<int64_t>(param_capacity(pass.plan().params[p]))
                                               : static_cast<int64_t>(pass.net.weights.params[p].n),
                                     true});
  }
}

}  // namespace

void visit_forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const OpRule& rule = *op_rule(pass.op(index).kind);
  if (rule.forward != nullptr) rule.forward(pass, index, visitor);
}

void visit_backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const OpRule& rule = *op_rule(pass.op(record.op).kind);
  undo_activation(pass, record, rule, visitor);
  if (rule.backward != nullptr) rule.backward(pass, record, visitor);
  visit_sums(pass, record, visitor);
}

}  // namespace edgecl
