// x over its L2 norm across the channels, position by position.
// Never here: the kernels' loops.
#include <float.h>

#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.same_shape_as_input());
  if (c.op.epsilon >= FLT_MIN && c.op.epsilon <= 1) return Status();
  return corrupt("OPS", c.index, "epsilon", "expected a normal number in (0, 1], found another");
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::l2_normalize_forward>(visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), op.epsilon});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::l2_normalize_backward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(record.output_gradient),
                pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), op.epsilon, (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1;
  return rule;
}

}  // namespace

const OpRule ops::l2_normalize = rule();

}  // namespace edgecl
