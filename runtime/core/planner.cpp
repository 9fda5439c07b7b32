// Lifetimes of tensors, and the proof that arena offsets respect them.
// Never here: assignment of offsets.
#include "runtime/core/planner.h"

#include "runtime/core/validate.h"

namespace edgecl {

uint64_t tensor_arena_floats(const format::TensorRecord& tensor) {
  return (tensor_row_floats(tensor) + 15) / 16 * 16;
}

uint32_t backward_reads(const Plan& plan, const format::BackwardRecord& record, uint32_t tensors[9]) {
  const format::OpRecord& op = plan.ops[record.op];
  const Activation activation = static_cast<Activation>(op.activation);
  uint32_t n = 0;
  bool reads_output = activation != Activation::kNone;
  switch (op.kind) {
    case format::kOpConv:
    case format::kOpLinear:
      if ((record.train_params & 1) != 0) tensors[n++] = op.inputs[0];
      break;
    case format::kOpBatchNorm:
    case format::kOpGroupNorm:
      tensors[n++] = op.inputs[0];
      break;
    case format::kOpActivation:
      reads_output = activation != Activation::kHardSwish;
      if (!reads_output) tensors[n++] = op.inputs[0];
      break;
    case format::kOpMaxPool:
      tensors[n++] = op.inputs[0];
      reads_output = true;
      break;
    case format::kOpMul:
      for (uint32_t i = 0; i < op.n_inputs; i++) tensors[n++] = op.inputs[i];
      break;
    default:
      break;
  }
  if (reads_output) tensors[n++] = op.output;
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

Status check_mode(const Plan& plan, Mode mode, Lifetime* lifetimes) {
  const bool learning = mode == Mode::kLearn;
  const char* field = learning ? "train_offset" : "predict_offset";
  const uint64_t arena = learning ? plan.model->train_floats_per_row : plan.model->predict_floats_per_row;
  tensor_lifetimes(plan, mode, lifetimes);

  auto offset_of = [&](uint32_t t) { return learning ? plan.tensors[t].train_offset : plan.tensors[t].predict_offset; };
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    const uint64_t offset = offset_of(t);
    if (!lifetimes[t].lives()) {
      if (offset != format::kNoOffset)
        return corrupt("TENSORS", t, field, "expected none for a tensor that this mode never touches, found one");
      continue;
    }
    if (offset == format::kNoOffset)
      return corrupt("TENSORS", t, field, "expected an offset for a tensor in use, found none");
    if (offset % 16 != 0)
      return corrupt("TENSORS", t, field, "expected a multiple of 16 floats, found %llu", u64(offset));
    const uint64_t size = tensor_arena_floats(plan.tensors[t]);
    if (offset > arena || size > arena - offset) {
      return corrupt("TENSORS", t, field,
                     "expected the tensor inside the arena of %llu floats per row, found %llu + %llu", u64(arena),
                     u64(offset), u64(size));
    }
    const uint32_t alias = plan.tensors[t].alias;
    if (alias != format::kNone && offset_of(alias) != offset) {
      return corrupt("TENSORS", t, field, "expected the offset of its alias, tensor %u, found another", alias);
    }
  }
  for (uint32_t t = 1; t < plan.tensors.n; t++) {
    if (plan.tensors[t].alias != format::kNone || !lifetimes[t].lives()) continue;
    const uint64_t begin = offset_of(t), end = begin + tensor_arena_floats(plan.tensors[t]);
    for (uint32_t other = 0; other < t; other++) {
      if (!lifetimes[other].meets(lifetimes[t]) || plan.tensors[other].alias != format::kNone) continue;
      const uint64_t other_begin = offset_of(other);
      if (begin < other_begin + tensor_arena_floats(plan.tensors[other]) && other_begin < end) {
        return corrupt("TENSORS", t, field,
                       "expected memory of its own, found an overlap with tensor %u that is alive at the same time",
                       other);
      }
    }
  }
  return Status();
}

}  // namespace

Status check_offsets(const Plan& plan) {
  Lifetime lifetimes[format::kMaxTensors];
  EDGECL_RETURN_IF_FAILED(check_mode(plan, Mode::kPredict, lifetimes));
  return check_mode(plan, Mode::kLearn, lifetimes);
}

}  // namespace edgecl
