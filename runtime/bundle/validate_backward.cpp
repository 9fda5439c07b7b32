// The backward list is exactly what the trainable parameters need, in a good order; the model's tensors and counts fit.
// Never here: rules of single operators.
#include <string.h>

#include "runtime/bundle/validate.h"
#include "runtime/core/ops/op_rule.h"
#include "runtime/core/planner.h"

namespace edgecl {
namespace {

using format::BackwardRecord;
using format::OpRecord;

constexpr uint16_t kUnset = 0xffff;  // tensors are below 4096

// Marks of a tensor.
constexpr uint8_t kNeedsGradient = 1;  // forward: some trainable parameter lies before it
constexpr uint8_t kReachesLoss = 2;    // forward: the logits depend on it
constexpr uint8_t kConsumed = 4;       // gradient tensor: its op's record has run

bool trains(const Plan& plan, const OpRecord& op, uint32_t slot) {
  return op.params[slot] != format::kNone && plan.params[op.params[slot]].trainable != 0;
}

void find_needs(const Plan& plan, const CheckScratch& state) {
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const OpRecord& op = plan.ops[i];
    uint32_t needed = 0;
    for (uint32_t k = 0; k < op.n_inputs; k++) needed |= state.marks[op.inputs[k]] & kNeedsGradient;
    for (uint32_t slot = 0; slot < 4; slot++) needed |= trains(plan, op, slot) ? kNeedsGradient : 0;
    state.marks[op.output] = static_cast<uint8_t>(needed);
  }
  state.marks[plan.model->logits_tensor] |= kReachesLoss;
  for (uint32_t i = plan.ops.n; i-- > 0;) {
    const OpRecord& op = plan.ops[i];
    if ((state.marks[op.output] & kReachesLoss) == 0) continue;
    for (uint32_t k = 0; k < op.n_inputs; k++) state.marks[op.inputs[k]] |= kReachesLoss;
  }
}

// `gradient` is a gradient tensor of the shape of `forward`, and these two belong to each other only.
Status pair_up(const Plan& plan, uint32_t record, const char* field, uint32_t gradient, uint32_t forward,
               const CheckScratch& state) {
  if (gradient >= plan.tensors.n || plan.tensors[gradient].flags != format::kTensorGradient) {
    return corrupt("BACKWARD", record, field, "expected a gradient tensor below %u, found %u", plan.tensors.n,
                   gradient);
  }
  if (!same_shape(plan.tensors[gradient], plan.tensors[forward])) {
    return corrupt("BACKWARD", record, field, "expected the shape of tensor %u, found another in tensor %u", forward,
                   gradient);
  }
  if (state.forward_of[gradient] == kUnset && state.gradient_of[forward] == kUnset) {
    state.forward_of[gradient] = static_cast<uint16_t>(forward);
    state.gradient_of[forward] = static_cast<uint16_t>(gradient);
  }
  if (state.forward_of[gradient] != forward || state.gradient_of[forward] != gradient) {
    return corrupt("BACKWARD", record, field, "expected one gradient tensor for tensor %u, found a second one (%u)",
                   forward, gradient);
  }
  return Status();
}

Status check_output_gradient(const Plan& plan, uint32_t k, const CheckScratch& state) {
  const BackwardRecord& record = plan.backward[k];
  const uint32_t gradient = record.output_gradient;
  EDGECL_RETURN_IF_FAILED(pair_up(plan, k, "output_gradient", gradient, plan.ops[record.op].output, state));
  if (k == 0) state.owner[alias_root(plan, gradient)] = static_cast<uint16_t>(gradient);  // the loss wrote it
  if (state.owner[alias_root(plan, gradient)] != gradient) {
    return corrupt("BACKWARD", k, "output_gradient",
                   "expected a gradient that an earlier record wrote, found tensor %u", gradient);
  }
  state.marks[gradient] |= kConsumed;
  return Status();
}

Status check_input_gradient(const Plan& plan, uint32_t k, uint32_t i, const CheckScratch& state) {
  const BackwardRecord& record = plan.backward[k];
  const OpRecord& op = plan.ops[record.op];
  const uint32_t gradient = record.input_gradient[i];
  const bool accumulate = (record.accumulate >> i & 1) != 0;
  const bool wanted = i < op.n_inputs && (state.marks[op.inputs[i]] & kNeedsGradient) != 0;
  if (!wanted) {
    if (gradient == format::kNone && !accumulate) return Status();
    return corrupt("BACKWARD", k, "input_gradient", "expected none for input %u (nothing before it trains), found %u",
                   i, gradient);
  }
  if (gradient == format::kNone)
    return corrupt("BACKWARD", k, "input_gradient", "expected a gradient tensor for input %u, found none", i);
  EDGECL_RETURN_IF_FAILED(pair_up(plan, k, "input_gradient", gradient, op.inputs[i], state));
  for (uint32_t j = 0; j < i; j++) {
    if (record.input_gradient[j] == gradient) {
      return corrupt("BACKWARD", k, "input_gradient", "expected a different tensor for each input, found %u twice",
                     gradient);
    }
  }
  if ((state.marks[gradient] & kConsumed) != 0) {
    return corrupt("BACKWARD", k, "input_gradient",
                   "expected a gradient that is still being summed, found tensor %u, which was used already", gradient);
  }
  uint16_t& owner = state.owner[alias_root(plan, gradient)];
  if (accumulate) {
    if (owner == gradient) return Status();
    return corrupt("BACKWARD", k, "accumulate", "expected a sum to add to in tensor %u, found none written yet",
                   gradient);
  }
  // Some kinds may turn the output gradient into the input gradient in place; nothing else may share memory.
  const bool in_place = owner == record.output_gradient && op_rule(op.kind)->gradient_in_place;
  if (owner != kUnset && !in_place) {
    return corrupt("BACKWARD", k, "accumulate",
                   "expected the first write to the memory of tensor %u, found it in use (by tensor %u)", gradient,
                   owner);
  }
  owner = static_cast<uint16_t>(gradient);
  return Status();
}

Status check_train_params(const Plan& plan, uint32_t k, const CheckScratch& state) {
  const BackwardRecord& record = plan.backward[k];
  const OpRecord& op = plan.ops[record.op];
  if (record.train_params > 15)
    return corrupt("BACKWARD", k, "train_params", "expected bits 0..3, found %u", record.train_params);
  for (uint32_t slot = 0; slot < 4; slot++) {
    const bool found = (record.train_params >> slot & 1) != 0;
    if (found != trains(plan, op, slot)) {
      return corrupt("BACKWARD", k, "train_params", "expected bit %u to say whether params[%u] is trainable, found %d",
                     slot, slot, found ? 1 : 0);
    }
    if (found) state.uses[op.params[slot]] = 1;
  }
  return Status();
}

}  // namespace

Status validate_backward(const Plan& plan, const CheckScratch& state) {
  memset(state.marks, 0, plan.tensors.n);
  memset(state.uses, 0, plan.params.n);
  for (uint32_t t = 0; t < plan.tensors.n; t++) state.forward_of[t] = state.gradient_of[t] = state.owner[t] = kUnset;
  find_needs(plan, state);

  uint32_t k = 0;
  for (uint32_t i = plan.ops.n; i-- > 0;) {
    const uint32_t output = plan.ops[i].output;
    if ((state.marks[output] & (kNeedsGradient | kReachesLoss)) != (kNeedsGradient | kReachesLoss)) continue;
    if (k == plan.backward.n || plan.backward[k].op != i) {
      return corrupt(
          "BACKWARD", k, "op",
          "expected op %u (in descending order, each op between a trainable parameter and the logits), found %s", i,
          k == plan.backward.n ? "the end of the list" : "another");
    }
    if (op_rule(plan.ops[i].kind)->backward == nullptr) {
      return corrupt("BACKWARD", k, "op", "expected nothing that trains before op %u, which has no backward pass", i);
    }
    EDGECL_RETURN_IF_FAILED(check_output_gradient(plan, k, state));
    for (uint32_t input = 0; input < 8; input++) EDGECL_RETURN_IF_FAILED(check_input_gradient(plan, k, input, state));
    if (plan.backward[k].accumulate > 255)
      return corrupt("BACKWARD", k, "accumulate", "expected bits 0..7, found %u", plan.backward[k].accumulate);
    EDGECL_RETURN_IF_FAILED(check_train_params(plan, k, state));
    k++;
  }
  if (k != plan.backward.n) return corrupt("BACKWARD", k, "op", "expected %u records, found %u", k, plan.backward.n);

  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    if (plan.tensors[t].flags == format::kTensorGradient && (state.marks[t] & kConsumed) == 0) {
      return corrupt("TENSORS", t, "flags", "expected a gradient that a backward record uses, found none that does");
    }
  }
  for (uint32_t p = 0; p < plan.params.n; p++) {
    if (plan.params[p].trainable != 0 && state.uses[p] == 0) {
      return corrupt("PARAMS", p, "trainable", "expected 0 for a parameter that gets no gradient, found 1");
    }
  }
  return Status();
}

namespace {

Status check_head(const Plan& plan) {
  const format::ModelRecord& model = *plan.model;
  if (model.head_weight == format::kNone && model.head_bias == format::kNone) return Status();
  const uint32_t logits_root = alias_root(plan, model.logits_tensor);
  for (const OpRecord& op : plan.ops) {
    if (!op_rule(op.kind)->layer || alias_root(plan, op.output) != logits_root) continue;
    if (plan.tensors[op.output].channels != model.class_capacity) continue;
    if (model.head_weight == op.params[0] && (model.head_bias == op.params[1] || model.head_bias == format::kNone))
      return Status();
  }
  return corrupt("MODEL", format::kNone, "head_weight",
                 "expected weight and bias of the layer that writes the logits, found %u and %u", model.head_weight,
                 model.head_bias);
}

}  // namespace

Status validate_model(const Plan& plan) {
  const format::ModelRecord& model = *plan.model;
  if (model.input_tensor != 0)
    return corrupt("MODEL", format::kNone, "input_tensor", "expected 0, found %u", model.input_tensor);
  if (model.class_capacity < 1 || model.class_capacity > format::kMaxClasses) {
    return corrupt("MODEL", format::kNone, "class_capacity", "expected 1..%u, found %u", format::kMaxClasses,
                   model.class_capacity);
  }
  if (model.logits_tensor < 1 || model.logits_tensor >= plan.tensors.n ||
      plan.tensors[model.logits_tensor].flags != 0) {
    return corrupt("MODEL", format::kNone, "logits_tensor", "expected a tensor in 1..%u that is no gradient, found %u",
                   plan.tensors.n - 1, model.logits_tensor);
  }
  const format::TensorRecord& logits = plan.tensors[model.logits_tensor];
  const uint32_t embedding = model.embedding_tensor;
  if (logits.dtype != format::kElementF32 ||
      (embedding < plan.tensors.n && plan.tensors[embedding].dtype != format::kElementF32)) {
    return corrupt("MODEL", format::kNone, "logits_tensor", "expected logits and embedding of floats, found integers");
  }
  if (logits.channels != model.class_capacity || logits.height != 1 || logits.width != 1) {
    return corrupt("MODEL", format::kNone, "logits_tensor",
                   "expected %u x 1 x 1 (the class capacity), found %u x %u x %u", model.class_capacity,
                   logits.channels, logits.height, logits.width);
  }
  if (embedding != format::kNone && (embedding >= plan.tensors.n || plan.tensors[embedding].flags != 0)) {
    return corrupt("MODEL", format::kNone, "embedding_tensor",
                   "expected none or a tensor below %u that is no gradient, found %u", plan.tensors.n, embedding);
  }
  const uint64_t arenas[] = {model.train_floats_per_row, model.predict_floats_per_row};
  for (uint64_t arena : arenas) {
    if (arena % 16 != 0 || arena > format::kMaxArenaRowFloats) {
      return corrupt("MODEL", format::kNone, "train_floats_per_row", "expected a multiple of 16 up to %llu, found %llu",
                     u64(format::kMaxArenaRowFloats), u64(arena));
    }
  }
  return check_head(plan);
}

namespace {

// Sums stay below 2^64: an op has at most 2^53 multiply-adds, and 9 tensors of 2^24 elements with windows of 2^10.
Status check_work(const Plan& plan) {
  uint64_t macs = 0, elements = 0;
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const OpRecord& op = plan.ops[i];
    macs += op_macs_forward(plan, i, false);
    for (uint32_t k = 0; k < op.n_inputs; k++) elements += tensor_row_floats(plan.tensors[op.inputs[k]]);
    const uint64_t window = op_rule(op.kind)->reads_windows ? static_cast<uint64_t>(op.kernel_h * op.kernel_w) : 1;
    elements += tensor_row_floats(plan.tensors[op.output]) * window;
    if (macs > format::kMaxRowMacs || elements > format::kMaxRowElements)
      return corrupt("OPS", i, "output", "expected at most 2^44 multiply-adds and 2^33 elements per row, found more");
  }
  return Status();
}

}  // namespace

Status validate_counts(const Plan& plan) {
  EDGECL_RETURN_IF_FAILED(check_work(plan));
  const format::ModelRecord& model = *plan.model;
  struct Count {
    const char* field;
    uint64_t found, expected;
  };
  const Count counts[] = {{"macs_forward", model.macs_forward, plan_macs_forward(plan, false)},
                          {"macs_forward_sparse", model.macs_forward_sparse, plan_macs_forward(plan, true)},
                          {"macs_backward", model.macs_backward, plan_macs_backward(plan, false)},
                          {"macs_backward_sparse", model.macs_backward_sparse, plan_macs_backward(plan, true)}};
  for (const Count& count : counts) {
    if (count.found != count.expected) {
      return corrupt("MODEL", format::kNone, count.field, "expected %llu for these operators, found %llu",
                     u64(count.expected), u64(count.found));
    }
  }
  return Status();
}

}  // namespace edgecl
