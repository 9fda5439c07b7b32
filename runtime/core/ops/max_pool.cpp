// Largest value of each window.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_rule.h"
#include "runtime/core/ops/window.h"

namespace edgecl {
namespace {

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::max_pool_forward>(visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), op_conv_shape(op), false});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::max_pool_backward>(visitor,
                                {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.tensor(record.output_gradient),
                                 pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), op_conv_shape(op), false,
                                 (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.reads_windows = true;
  rule.check = check_pool;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1 | kReadsOutput;  // the maximum is found again
  return rule;
}

}  // namespace

const OpRule ops::max_pool = rule();

}  // namespace edgecl
