// Mean over height and width.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  return c.output_shape(c.x().channels, 1, 1);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::global_average_pool_forward>(visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output)});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::global_average_pool_backward>(
      visitor, {pass.tensor(record.output_gradient), pass.tensor_or_null(record.input_gradient[0], op.inputs[0]),
                (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::global_average_pool = rule();

}  // namespace edgecl
