// Batch normalisation, with a residual that is added before the activation.
// Never here: the update of running statistics (executor_update.cpp).
#include "runtime/core/ops/norm.h"
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_norm(c, 4));
  if (c.op.n_inputs == 2 && !same_shape(c.x(1), c.x()))
    return corrupt("OPS", c.index, "inputs", "expected a residual of the input's shape, found another");
  if (!(c.op.momentum >= 0) || !(c.op.momentum <= 1))
    return corrupt("OPS", c.index, "momentum", "expected a number in [0, 1], found another");
  for (uint32_t i = 2; i < 4; i++) {
    if (c.param(i).trainable != 0) {
      return corrupt("OPS", c.index, "params",
                     "expected running statistics with trainable 0 (no gradient reaches them), found 1 in place %u", i);
    }
  }
  const float* variance = c.plan.dense_values(c.op.params[3]);
  for (uint32_t i = 0; i < c.x().channels; i++) {
    if (!(variance[i] >= 0))
      return corrupt("OPS", c.index, "params",
                     "expected running variances of at least 0, found one below in channel %u", i);
  }
  return Status();
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  BatchNormForwardArgs args = {};
  args.x = pass.tensor(op.inputs[0]);
  args.y = pass.tensor(op.output);
  args.gamma = pass.value(op.params[0]);
  args.beta = pass.value(op.params[1]);
  if (pass.mode == Mode::kPredict || !follows_batch(pass.plan(), op, pass.rows)) {
    const NormWeights norm = pass.running(index);
    args.mean = norm.running_mean;
    args.rstd = norm.running_rstd;
  } else {
    const NormWork norm = pass.batch(index);
    args.batch_mean = norm.batch_mean;
    args.batch_rstd = norm.batch_rstd;
    args.batch_var_unbiased = norm.batch_var;
  }
  args.eps = op.epsilon;
  args.residual = op.n_inputs == 2 ? pass.tensor(op.inputs[1]).data : nullptr;
  args.activation = op_activation(op);
  emit<call::batch_norm_forward>(visitor, args);
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const NormWeights running = pass.running(record.op);
  const NormWork batch = pass.batch(record.op);
  BatchNormBackwardArgs args = {};
  args.x = pass.tensor(op.inputs[0]);
  args.y = pass.tensor(op.output);
  args.dy = pass.tensor(record.output_gradient);
  args.dx = pass.tensor_or_null(record.input_gradient[0], op.inputs[0]);
  args.gamma = pass.value(op.params[0]);
  args.beta = op.n_inputs == 1 ? pass.value(op.params[1]) : nullptr;
  args.frozen = !follows_batch(pass.plan(), op, pass.rows);
  args.mean = args.frozen ? running.running_mean : batch.batch_mean;
  args.rstd = args.frozen ? running.running_rstd : batch.batch_rstd;
  args.dgamma = pass.gradient(record, 0);
  args.dbeta = pass.gradient(record, 1);
  args.accumulate_dx = (record.accumulate & 1) != 0;
  if (op.n_inputs == 2 && record.input_gradient[1] != format::kNone)
    args.dresidual = pass.tensor(record.input_gradient[1]).data;
  args.accumulate_residual = (record.accumulate & 2) != 0;
  args.activation = op_activation(op);
  emit<call::batch_norm_backward>(visitor, args);
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_inputs = 2;
  rule.max_params = 4;
  rule.activation = OpActivation::kFused;
  rule.undoes_activation = true;
  rule.follows_batch = true;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1;
  return rule;
}

}  // namespace

const OpRule ops::batch_norm = rule();

}  // namespace edgecl
