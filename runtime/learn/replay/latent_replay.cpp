// The search for the border, and the two parts of a step's forward pass.
// Never here: backward passes (they end above the border by themselves).
#include "runtime/learn/replay/latent_replay.h"

#include "runtime/core/planner.h"
#include "runtime/learn/batch.h"
#include "runtime/learn/magnitude.h"

namespace edgecl {
namespace {

bool moves(const Plan& plan, const format::OpRecord& op) {
  if (op.kind == format::kOpBatchNorm && (op.flags & format::kOpFlagFrozen) == 0) return true;
  for (const uint32_t p : op.params) {
    if (p != format::kNone && plan.params[p].trainable != 0) return true;
  }
  return false;
}

// Calls copy(element of a row, begin, end) for ranges of 0..elements, on all threads when there is enough to do.
template <class Copy>
void each_range(const Buffers& buffers, uint64_t elements, uint32_t rows, const Copy& copy) {
  const uint32_t n_parts = elements * rows < buffers.serial_work ? 1 : buffers.parallel.n_threads;
  auto body = [&](uint32_t part) { copy(elements * part / n_parts, elements * (part + 1) / n_parts); };
  if (n_parts == 1) return body(0);
  buffers.parallel.run(n_parts, body);
}

// The border tensor's rows into row-major latents.
void read_border(const Session& session, const Tensor& x, uint32_t rows) {
  const uint64_t elements = tensor_row_floats(session.plan->tensors[session.border.tensor]);
  const uint32_t lanes = static_cast<uint32_t>(x.lanes);
  each_range(session.buffers, elements, rows, [&](uint64_t begin, uint64_t end) {
    for (uint32_t r = 0; r < rows; r++) {
      const float* from = x.data + r / lanes * elements * lanes + r % lanes;
      float* to = session.step.latents + r * elements;
      for (uint64_t e = begin; e < end; e++) to[e] = from[e * lanes];
    }
  });
}

// Rows at step.samples into the border tensor.
void write_border(const Session& session, const Tensor& x) {
  const uint64_t elements = tensor_row_floats(session.plan->tensors[session.border.tensor]);
  const uint32_t lanes = static_cast<uint32_t>(x.lanes), rows = session.step.n_rows;
  each_range(session.buffers, elements, rows, [&](uint64_t begin, uint64_t end) {
    for (uint32_t r = 0; r < rows; r++) {
      const float* from = static_cast<const float*>(session.step.samples[r]);
      float* to = x.data + r / lanes * elements * lanes + r % lanes;
      for (uint64_t e = begin; e < end; e++) to[e * lanes] = from[e];
    }
  });
}

// The frozen ops for the current rows.
Status forward_below(Session* session) {
  const Plan& plan = *session->plan;
  StepMemory& step = session->step;
  if (step.n_current == 0) return Status();
  load_input(*session, step.n_current, Mode::kPredict, false);
  EDGECL_RETURN_IF_FAILED(check_loaded_input(*session, step.n_current, Mode::kPredict));
  forward_ops(plan, session->buffers, step.n_current, Mode::kPredict, 0, session->border.op);
  read_border(*session, plan_tensor(plan, session->buffers, session->border.tensor, step.n_current, Mode::kPredict),
              step.n_current);
  const uint64_t elements = tensor_row_floats(plan.tensors[session->border.tensor]);
  for (uint32_t r = 0; r < step.n_current; r++) step.samples[r] = step.latents + r * elements;
  return Status();
}

}  // namespace

Border find_border(const Plan& plan) {
  uint32_t op = 0;
  while (op < plan.ops.n && !moves(plan, plan.ops[op])) op++;
  Lifetime lifetimes[format::kMaxTensors];
  tensor_lifetimes(plan, Mode::kPredict, lifetimes);
  for (; op > 0; op--) {
    // Written by op - 1 (step op) or before, used by op (step op + 1) or later.
    uint32_t n = 0, last = 0;
    for (uint32_t t = 0; t < plan.tensors.n; t++) {
      if (plan.tensors[t].alias != format::kNone || !lifetimes[t].lives()) continue;
      if (lifetimes[t].first > op || lifetimes[t].last <= op) continue;
      n++;
      last = t;
    }
    if (n == 1 && last != alias_root(plan, plan.model->input_tensor)) return {op, last};
  }
  return Border();
}

Border config_border(const Plan& plan, const SessionConfig& config) {
  return config.latent_replay && !config.predict_only ? find_border(plan) : Border();
}

uint64_t exemplar_bytes(const Plan& plan, const SessionConfig& config) {
  const Border border = config_border(plan, config);
  return border.op == 0 ? sample_bytes(plan) : tensor_row_floats(plan.tensors[border.tensor]) * sizeof(float);
}

Status check_latent_replay(const Plan& plan, const SessionConfig& config) {
  if (!config.latent_replay) return Status();
  if (config.augment_crop > 0 || config.augment_flip) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected augment_crop = 0 and augment_flip = 0 with latent_replay, since activations cannot be "
                   "cropped or flipped; found %u and %u; set them to 0, or latent_replay",
                   config.augment_crop, config.augment_flip ? 1u : 0u);
  }
  if (find_border(plan).op != 0) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected a bundle whose lower part, its batch norms too, is frozen up to one tensor; found none in "
                 "\"%s\"; export it with trainable=\"tail\" or \"head\", or set latent_replay = 0",
                 plan.string(plan.model->name));
}

Status forward_step(Session* session, bool augmented) {
  const Plan& plan = *session->plan;
  const uint32_t rows = session->step.n_rows;
  if (session->border.op == 0) {
    load_input(*session, rows, Mode::kLearn, augmented);
    EDGECL_RETURN_IF_FAILED(check_loaded_input(*session, rows, Mode::kLearn));
    forward(plan, session->buffers, rows, Mode::kLearn);
    return Status();
  }
  EDGECL_RETURN_IF_FAILED(forward_below(session));
  const Tensor border = plan_tensor(plan, session->buffers, session->border.tensor, rows, Mode::kLearn);
  write_border(*session, border);
  if (!magnitudes_within(border.data, static_cast<uint64_t>(border.size()), kLargestInput)) {
    return failure(EDGECL_E_NUMERIC,
                   "expected activations of the frozen part that stay below 1e12; found a larger number, NaN or "
                   "infinity; repair or drop the sample");
  }
  forward_ops(plan, session->buffers, rows, Mode::kLearn, session->border.op, plan.ops.n);
  return Status();
}

}  // namespace edgecl
