// Inputs one behind the other along the channels.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  uint64_t channels = 0;
  for (uint32_t i = 0; i < c.op.n_inputs; i++) {
    if (c.x(i).height != c.x().height || c.x(i).width != c.x().width) {
      return corrupt("OPS", c.index, "inputs", "expected equal height and width, found another in input %u", i);
    }
    channels += c.x(i).channels;
  }
  return c.output_shape(channels, c.x().height, c.x().width);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  ConcatArgs args = {};
  for (uint32_t i = 0; i < op.n_inputs; i++) args.inputs[i] = pass.tensor(op.inputs[i]);
  args.n_inputs = static_cast<int32_t>(op.n_inputs);
  args.y = pass.tensor(op.output);
  emit<call::concat_forward>(visitor, args);
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  ConcatBackwardArgs args = {};
  for (uint32_t i = 0; i < op.n_inputs; i++) {
    args.dinputs[i] = pass.tensor_or_null(record.input_gradient[i], op.inputs[i]);
    args.accumulate[i] = (record.accumulate >> i & 1) != 0;
  }
  args.n_inputs = static_cast<int32_t>(op.n_inputs);
  args.dy = pass.tensor(record.output_gradient);
  emit<call::concat_backward>(visitor, args);
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_inputs = kMaxInputs;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::concat = rule();

}  // namespace edgecl
