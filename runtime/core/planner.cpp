// Lifetimes of tensors, and the border that follows from them.
// Never here: arena offsets (the writer assigns them, validate_offsets.cpp proves them).
#include "runtime/core/planner.h"

#include "runtime/core/ops/op_rule.h"

namespace edgecl {

uint64_t tensor_arena_floats(const format::TensorRecord& tensor) {
  return (tensor_row_floats(tensor) * element_bytes(tensor.dtype) + 63) / 64 * 16;
}

uint32_t backward_reads(const Plan& plan, const format::BackwardRecord& record, uint32_t tensors[9]) {
  const format::OpRecord& op = plan.ops[record.op];
  const OpRule& rule = *op_rule(op.kind);
  uint32_t reads = rule.layer && (record.train_params & 1) == 0 ? 0 : rule.backward_reads;
  const Activation activation = static_cast<Activation>(op.activation);
  if (activation != Activation::kNone) reads |= activation_gradient_reads_output(activation) ? kReadsOutput : 1u;
  uint32_t n = 0;
  for (uint32_t i = 0; i < op.n_inputs; i++) {
    if ((reads >> i & 1) != 0) tensors[n++] = op.inputs[i];
  }
  if ((reads & kReadsOutput) != 0) tensors[n++] = op.output;
  return n;
}

namespace {

void use(Lifetime* lifetime, uint32_t step) {
  const uint16_t at = static_cast<uint16_t>(step);
  if (at < lifetime->first) lifetime->first = at;
  if (at > lifetime->last) lifetime->last = at;
}

}  // namespace

void tensor_lifetimes(const Plan& plan, Mode mode, Lifetime* lifetimes) {
  for (uint32_t t = 0; t < plan.tensors.n; t++) lifetimes[t] = Lifetime();
  auto touch = [&](uint32_t tensor, uint32_t step) { use(&lifetimes[alias_root(plan, tensor)], step); };

  touch(0, 0);
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    for (uint32_t k = 0; k < op.n_inputs; k++) touch(op.inputs[k], 1 + i);
    touch(op.output, 1 + i);
  }
  const uint32_t loss_step = 1 + plan.ops.n;
  touch(plan.model->logits_tensor, loss_step);
  if (plan.model->embedding_tensor != format::kNone) touch(plan.model->embedding_tensor, loss_step);

  if (mode == Mode::kLearn && plan.backward.n > 0) {
    touch(plan.logits_gradient(), loss_step);
    for (uint32_t k = 0; k < plan.backward.n; k++) {
      const format::BackwardRecord& record = plan.backward[k];
      const uint32_t step = loss_step + 1 + k;
      uint32_t reads[9];
      const uint32_t n_reads = backward_reads(plan, record, reads);
      for (uint32_t r = 0; r < n_reads; r++) touch(reads[r], step);
      touch(record.output_gradient, step);
      for (uint32_t gradient : record.input_gradient) {
        if (gradient != format::kNone) touch(gradient, step);
      }
    }
  }
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    const uint32_t alias = plan.tensors[t].alias;
    if (alias != format::kNone) lifetimes[t] = lifetimes[alias];  // earlier, so it already has its root's
  }
}

namespace {

bool moves(const Plan& plan, const format::OpRecord& op) {
  if (op_rule(op.kind)->follows_batch && (op.flags & format::kOpFlagFrozen) == 0) return true;
  for (const uint32_t p : op.params) {
    if (p != format::kNone && plan.params[p].trainable != 0) return true;
  }
  return false;
}

}  // namespace

void find_border(Plan* plan, Lifetime* lifetimes) {
  uint32_t op = 0;
  while (op < plan->ops.n && !moves(*plan, plan->ops[op])) op++;
  tensor_lifetimes(*plan, Mode::kPredict, lifetimes);
  plan->border_op = plan->border_tensor = 0;
  for (; op > 0; op--) {
    // Written by op - 1 (step op) or before, used by op (step op + 1) or later.
    uint32_t n = 0, last = 0;
    for (uint32_t t = 0; t < plan->tensors.n; t++) {
      if (plan->tensors[t].alias != format::kNone || !lifetimes[t].lives()) continue;
      if (lifetimes[t].first > op || lifetimes[t].last <= op) continue;
      n++;
      last = t;
    }
    if (n != 1 || last == alias_root(*plan, plan->model->input_tensor)) continue;
    if (plan->tensors[last].dtype != format::kElementF32) continue;  // a row of the border is floats
    plan->border_op = op;
    plan->border_tensor = last;
    return;
  }
}

}  // namespace edgecl
