// An elementwise function as an operator of its own.
// Never here: activations fused into other operators (their rules; executor_ops.cpp).
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.same_shape_as_input());
  if (!is_built(static_cast<Activation>(c.op.activation))) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "bundle section OPS, record %u: expected an activation of this build; found number %u; build the "
                   "library with the part activations (EDGECL_PARTS)",
                   c.index, c.op.activation);
  }
  if (c.op.activation == static_cast<uint32_t>(Activation::kCelu) && c.op.activation_lo == 0)
    return corrupt("OPS", c.index, "activation_lo", "expected a number other than 0 for celu, found 0");
  return Status();
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const Tensor x = pass.tensor(op.inputs[0]);
  emit<call::activation_forward>(visitor, {x.data, pass.tensor(op.output).data, x.size(), op_activation(op)});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const Tensor dy = pass.tensor(record.output_gradient);
  emit<call::activation_backward>(visitor, {pass.tensor(op.inputs[0]).data, pass.tensor(op.output).data, dy.data,
                                            pass.tensor_or_null(record.input_gradient[0], op.inputs[0]).data, dy.size(),
                                            (record.accumulate & 1) != 0, op_activation(op)});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.activation = OpActivation::kOwn;
  rule.undoes_activation = true;
  rule.gradient_in_place = true;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::activation = rule();

}  // namespace edgecl
