// Mean of each window; i[0] = 1 counts the padding.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_rule.h"
#include "runtime/core/ops/window.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.range("i[0] (count_include_pad)", c.op.i[0], 0, 1));
  return check_pool(c);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::average_pool_forward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), op_conv_shape(op), op.i[0] != 0});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::average_pool_backward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.tensor(record.output_gradient),
                pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), op_conv_shape(op), op.i[0] != 0,
                (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.reads_windows = true;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::average_pool = rule();

}  // namespace edgecl
