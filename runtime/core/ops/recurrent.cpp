// Recurrent layer of one direction: RNN, GRU or LSTM over the width.
// Never here: the kernels' loops; both directions at once (two operators and a concat).
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

RecurrentShape shape_of(const format::OpRecord& op) {
  return {static_cast<RecurrentCell>(op.i[0]), op.i[1] != 0};
}

Status check_weight(const OpCheck& c, uint32_t slot, uint32_t inputs, uint64_t columns) {
  if (c.has_param(slot)) {
    const format::ParamRecord& found = c.param(slot);
    if (found.storage == format::kStorageDense && found.dtype == format::kElementF32 && found.rank == 2 &&
        found.dims[0] == inputs && found.dims[1] == columns)
      return Status();
  }
  return corrupt("OPS", c.index, "params", "expected a dense weight of %u x %llu in place %u, found %s", inputs,
                 u64(columns), slot, c.has_param(slot) ? "another" : "none");
}

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.range("i[0] (cell)", c.op.i[0], 0, kRecurrentCells - 1));
  EDGECL_RETURN_IF_FAILED(c.range("i[1] (reverse)", c.op.i[1], 0, 1));
  if (c.x().height != 1)
    return corrupt("OPS", c.index, "inputs", "expected a tensor of height 1 (steps along the width), found %u",
                   c.x().height);
  const uint32_t hidden = c.y().channels;
  EDGECL_RETURN_IF_FAILED(c.output_shape(hidden, 1, c.x().width));
  const uint32_t columns = static_cast<uint32_t>(shape_of(c.op).gates()) * hidden;  // below 2^22
  EDGECL_RETURN_IF_FAILED(check_weight(c, 0, c.x().channels, columns));
  EDGECL_RETURN_IF_FAILED(check_weight(c, 1, hidden, columns));
  if (!c.has_param(2) && !c.has_param(3)) return Status();
  EDGECL_RETURN_IF_FAILED(c.vector_param(2, columns));
  return c.vector_param(3, columns);
}

uint64_t macs(const Plan& plan, const format::OpRecord& op, bool) {
  return (param_size(plan.params[op.params[0]]) + param_size(plan.params[op.params[1]])) *
         plan.tensors[op.output].width;
}

uint64_t kept_floats(const Plan& plan, const format::OpRecord& op) {
  return tensor_row_floats(plan.tensors[op.output]) * static_cast<uint64_t>(shape_of(op).kept());
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  float* kept = pass.mode == Mode::kLearn && pass.plan().backward_of(index) != nullptr ? pass.kept(index) : nullptr;
  emit<call::recurrent_forward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.value(op.params[0]), pass.value(op.params[1]),
                pass.value(op.params[2]), pass.value(op.params[3]), shape_of(op), kept});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const RecurrentShape shape = shape_of(op);
  const Tensor x = pass.tensor(op.inputs[0]), y = pass.tensor(op.output),
               dx = pass.tensor_or_null(record.input_gradient[0], op.inputs[0]);
  float* kept = pass.kept(record.op);
  emit<call::recurrent_steps_backward>(visitor,
                                       {y, pass.tensor(record.output_gradient), pass.value(op.params[1]), shape, kept});
  if (dx.data != nullptr) {
    emit<call::recurrent_data_backward>(visitor,
                                        {y, dx, pass.value(op.params[0]), shape, kept, (record.accumulate & 1) != 0});
  }
  if (record.train_params == 0) return;
  emit<call::recurrent_weight_backward>(visitor, {x, y, shape, kept, pass.gradient(record, 0), pass.gradient(record, 1),
                                                  pass.gradient(record, 2), pass.gradient(record, 3)});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_params = 4;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 1 | kReadsOutput;
  rule.macs = macs;
  rule.kept_floats = kept_floats;
  return rule;
}

}  // namespace

const OpRule ops::recurrent = rule();

}  // namespace edgecl
