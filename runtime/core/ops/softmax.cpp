// Softmax over the width, or its logarithm.
// Never here: the kernels' loops; the loss over classes.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.range("i[0] (logarithm)", c.op.i[0], 0, 1));
  return c.same_shape_as_input();
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::softmax_forward>(visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), op.i[0] != 0});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::softmax_backward>(visitor, {pass.tensor(op.output), pass.tensor(record.output_gradient),
                                         pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), op.i[0] != 0,
                                         (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = kReadsOutput;
  return rule;
}

}  // namespace

const OpRule ops::softmax = rule();

}  // namespace edgecl
