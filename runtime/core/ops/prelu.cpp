// A rectifier whose slope below zero is a parameter of each channel.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.same_shape_as_input());
  return c.vector_param(0, c.x().channels);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::prelu_forward>(visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.value(op.params[0])});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::prelu_backward>(visitor,
                             {pass.tensor(op.inputs[0]), pass.tensor(record.output_gradient),
                              pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), pass.value(op.params[0]),
                              pass.gradient(record, 0), (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_params = 1;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1;
  return rule;
}

}  // namespace

const OpRule ops::prelu = rule();

}  // namespace edgecl
