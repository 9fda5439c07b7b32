// Sum, mean or maximum over the height.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.range("i[0] (0 sum, 1 mean, 2 maximum)", c.op.i[0], 0, 2));
  return c.output_shape(c.x().channels, 1, c.x().width);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::reduce_forward>(visitor,
                             {pass.tensor(op.inputs[0]), pass.tensor(op.output), static_cast<Reduction>(op.i[0])});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::reduce_backward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.tensor(record.output_gradient),
                pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), static_cast<Reduction>(op.i[0]),
                (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1 | kReadsOutput;  // a maximum is found again
  return rule;
}

}  // namespace

const OpRule ops::reduce = rule();

}  // namespace edgecl
