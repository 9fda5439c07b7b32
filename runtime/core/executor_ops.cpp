// One op of a plan as kernel calls: the rule of its kind does it, behind what all kinds share.
// Never here: kernels of one kind (ops/), what is done with a call (run: executor.cpp; measured: executor_scratch.cpp).
#include "runtime/core/executor_ops.h"

#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {

void visit_forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const OpRule& rule = *op_rule(pass.op(index).kind);
  if (rule.forward != nullptr) rule.forward(pass, index, visitor);
}

void visit_backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const OpRule& rule = *op_rule(op.kind);
  const ActivationSpec activation = op_activation(op);
  if (activation.kind != Activation::kNone && !rule.undoes_activation) {
    const Tensor dy = pass.tensor(record.output_gradient);
    emit<call::activation_backward>(
        visitor, {nullptr, pass.tensor(op.output).data, dy.data, dy.data, dy.size(), false, activation});
  }
  if (rule.backward != nullptr) rule.backward(pass, record, visitor);
}

}  // namespace edgecl
