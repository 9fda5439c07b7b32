// Group normalisation: statistics of each batch row by itself.
// Never here: the kernels' loops.
#include "runtime/core/ops/norm.h"
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_norm(c, 2));
  const uint32_t channels = c.x().channels;
  EDGECL_RETURN_IF_FAILED(c.range("i[0] (groups)", c.op.i[0], 1, channels));
  if (channels % static_cast<uint32_t>(c.op.i[0]) == 0) return Status();
  return corrupt("OPS", c.index, "i[0] (groups)", "expected a divisor of %u channels, found %d", channels, c.op.i[0]);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const NormWork norm = pass.batch(index);
  emit<call::group_norm_forward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.value(op.params[0]), pass.value(op.params[1]),
                op.i[0], op.epsilon, norm.batch_mean, norm.batch_rstd, op_activation(op)});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const NormWork norm = pass.batch(record.op);
  emit<call::group_norm_backward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.tensor(record.output_gradient),
                pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), pass.value(op.params[0]), op.i[0],
                norm.batch_mean, norm.batch_rstd, pass.gradient(record, 0), pass.gradient(record, 1),
                (record.accumulate & 1) != 0, op_activation(op)});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_params = 2;
  rule.activation = OpActivation::kFused;
  rule.undoes_activation = true;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1;
  return rule;
}

}  // namespace

const OpRule ops::group_norm = rule();

}  // namespace edgecl
