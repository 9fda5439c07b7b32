// Layer normalisation: over the channels of each position, with or without the mean.
// Never here: the kernels' loops.
#include "runtime/core/ops/norm.h"
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_norm(c, 0));
  for (uint32_t slot = 0; slot < 2; slot++) {
    if (c.has_param(slot)) EDGECL_RETURN_IF_FAILED(c.vector_param(slot, c.x().channels));
  }
  return c.range("i[0] (without the mean)", c.op.i[0], 0, 1);
}

// The mean, then 1 / standard deviation, of each position of all rows of the pass.
uint64_t kept_floats(const Plan& plan, const format::OpRecord& op) {
  const format::TensorRecord& y = plan.tensors[op.output];
  return uint64_t{2} * y.height * y.width;
}
float* rstd_behind(float* mean, const Tensor& x) {
  return mean == nullptr ? nullptr : mean + x.rows() * static_cast<int64_t>(x.height) * x.width;
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const Tensor x = pass.tensor(op.inputs[0]);
  float* mean = pass.mode == Mode::kLearn && pass.plan().backward_of(index) != nullptr ? pass.kept(index) : nullptr;
  emit<call::layer_norm_forward>(
      visitor, {x, pass.tensor(op.output), pass.value(op.params[0]), pass.value(op.params[1]), op.epsilon, op.i[0] == 0,
                mean, rstd_behind(mean, x)});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const Tensor x = pass.tensor(op.inputs[0]), dy = pass.tensor(record.output_gradient);
  float *const mean = pass.kept(record.op), *const rstd = rstd_behind(mean, x);
  const bool centred = op.i[0] == 0;
  float *const dgamma = pass.gradient(record, 0), *const dbeta = pass.gradient(record, 1);
  if (dgamma != nullptr || dbeta != nullptr) {
    emit<call::layer_norm_backward_weight>(visitor, {x, dy, mean, rstd, centred, dgamma, dbeta});
  }
  if (record.input_gradient[0] == format::kNone) return;
  emit<call::layer_norm_backward_data>(visitor, {x, dy, pass.tensor(record.input_gradient[0]), pass.value(op.params[0]),
                                                 mean, rstd, centred, (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_params = 2;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1;
  rule.kept_floats = kept_floats;
  return rule;
}

}  // namespace

const OpRule ops::layer_norm = rule();

}  // namespace edgecl
