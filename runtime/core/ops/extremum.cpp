// The larger or the smaller of two tensors, element by element.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.same_shape_as_input());
  const format::TensorRecord &a = c.x(0), &b = c.x(1);
  if (a.channels == b.channels && a.height == b.height && a.width == b.width) return Status();
  return corrupt("OPS", c.index, "inputs", "expected two tensors of one shape, found others");
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const Tensor y = pass.tensor(op.output);
  emit<call::extremum_forward>(visitor, {pass.tensor(op.inputs[0]).data, pass.tensor(op.inputs[1]).data, y.data,
                                         y.size(), op.kind == format::kOpMaximum});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const Tensor dy = pass.tensor(record.output_gradient);
  emit<call::extremum_backward>(
      visitor, {pass.tensor(op.inputs[0]).data, pass.tensor(op.inputs[1]).data, dy.data,
                pass.tensor_or_null(record.input_gradient[0], op.inputs[0]).data,
                pass.tensor_or_null(record.input_gradient[1], op.inputs[1]).data, dy.size(),
                op.kind == format::kOpMaximum, (record.accumulate & 1) != 0, (record.accumulate & 2) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.min_inputs = rule.max_inputs = 2;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 3;
  return rule;
}

}  // namespace

const OpRule ops::maximum = rule();
const OpRule ops::minimum = rule();

}  // namespace edgecl
