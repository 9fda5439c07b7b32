// What the buffer keeps of rows that no step learned, and where it goes.
// Never here: training passes.
#include "runtime/learn/replay/remember.h"

#include "runtime/core/encoder.h"
#include "runtime/heads/head.h"
#include "runtime/learn/magnitude.h"
#include "runtime/learn/replay/admission.h"
#include "runtime/learn/replay/latent_replay.h"
#include "runtime/learn/streams.h"

namespace edgecl {
namespace {

// Activations at the border in step.latents, to which step.samples then point.
Status keep_latents(Session* session, uint32_t n) {
  StepMemory& step = session->step;
  const Net net = session->learning();
  const uint64_t elements = tensor_row_floats(session->plan->tensors[session->border.tensor]);
  copy_rows_out(net, plan_tensor(net, session->border.tensor, n, Mode::kPredict), n, false, step.latents);
  for (uint32_t r = 0; r < n; r++) step.samples[r] = step.latents + r * elements;
  if (magnitudes_within(step.latents, n * elements, kLargestInput)) return Status();
  return failure(EDGECL_E_NUMERIC,
                 "expected activations of the frozen part that stay below 1e12; found a larger number; repair or drop "
                 "the sample");
}

Status keep_logits(Session* session, uint32_t n) {
  StepMemory& step = session->step;
  const Net net = session->learning();
  session->head->score(session->head_memory, net, n, Mode::kPredict, nullptr);
  const uint64_t columns = session->classes.n_columns;
  copy_rows_out(net, plan_tensor(net, session->plan->model->logits_tensor, n, Mode::kPredict), n, false, step.logits);
  if (magnitudes_within(step.logits, n * columns, kLargestInput)) return Status();
  return failure(
      EDGECL_E_NUMERIC,
      "expected logits that stay below 1e12, since the buffer keeps them; found a larger one; check the range "
      "of the samples");
}

// step.samples points to n raw rows: from here on to what the buffer keeps of them, and their logits are in step.logits.
// Activations of a learn workspace mean nothing between steps.
Status prepare_rows(Session* session, uint32_t n) {
  StepMemory& step = session->step;
  for (uint32_t r = 0; r < n; r++) {
    if (!sample_within_limit(*session->plan, step.samples[r])) {
      return failure(
          EDGECL_E_NUMERIC,
          "expected samples that stay below 1e12 once normalised; found a larger number in sample %u; repair "
          "or drop the sample",
          r);
    }
  }
  const uint32_t border = session->border.op;
  if (step.logits == nullptr && border == 0) return Status();
  const Net net = session->learning();
  load_input(*session, net, step.samples, n, Mode::kPredict, false);
  if (border != 0) {
    forward_ops(net, n, Mode::kPredict, 0, border);
    EDGECL_RETURN_IF_FAILED(keep_latents(session, n));
  }
  if (step.logits == nullptr) return Status();
  forward_ops(net, n, Mode::kPredict, border, session->head_op);
  return keep_logits(session, n);
}

// A stored exemplar as raw numbers of the bundle's input.
const void* raw_exemplar(const Session& session, uint32_t i) {
  const Plan& plan = *session.plan;
  const Exemplars& shipped = plan.exemplars;
  const uint8_t* stored = shipped.samples + i * shipped.row_bytes;
  if (shipped.dtype != format::kElementI8) return stored;
  const uint64_t n = sample_elements(plan), channels = plan.tensors[0].channels, pixels = n / channels;
  for (uint64_t k = 0; k < n; k++) {
    const uint64_t c = plan.input->channels_last != 0 ? k % channels : k / pixels;
    const float scaled = static_cast<float>(static_cast<int8_t>(stored[k])) * shipped.scale[c];
    session.step.raw_row[k] = scaled + shipped.offset[c];
  }
  return session.step.raw_row;
}

Status store_shipped(Session* session, uint32_t begin, uint32_t n) {
  StepMemory& step = session->step;
  Replay* replay = &session->replay;
  for (uint32_t r = 0; r < n; r++) step.samples[r] = raw_exemplar(*session, begin + r);
  EDGECL_RETURN_IF_FAILED(prepare_rows(session, n));
  for (uint32_t r = 0; r < n; r++) {
    const float* logits = step.logits ? step.logits + static_cast<uint64_t>(r) * replay->logits_width : nullptr;
    replay_store(replay, replay->fill++, step.samples[r],
                 static_cast<int32_t>(session->plan->exemplars.labels[begin + r]), logits);
  }
  return Status();
}

}  // namespace

Status remember(Session* session, const Batch& batch, const int32_t* labels) {
  const SessionConfig& config = session->config;
  if (config_replay_capacity(config) == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session that learns with a replay buffer; found none; set predict_only = 0 and a "
                   "replay_capacity");
  }
  if (batch.n > config.max_batch) {
    return failure(EDGECL_E_CAPACITY, "expected at most max_batch = %u samples; found %u; hand them in pieces",
                   config.max_batch, batch.n);
  }
  EDGECL_RETURN_IF_FAILED(check_batch(*session, batch));
  StepMemory& step = session->step;
  step.stage = Stage::kIdle;
  for (uint32_t r = 0; r < batch.n; r++) {
    EDGECL_RETURN_IF_FAILED(check_present(*session, labels[r]));
    step.labels[r] = labels[r];
    step.samples[r] = batch.sample(*session, r);
  }
  EDGECL_RETURN_IF_FAILED(prepare_rows(session, batch.n));
  admit_rows(session, batch.n, nullptr, step_stream(session->counters.seed, Purpose::kRemember, session->replay.seen));
  return Status();
}

void remember_shipped(Session* session) {
  const Exemplars& shipped = session->plan->exemplars;
  Replay* const replay = &session->replay;
  const uint32_t n = shipped.n < replay->capacity ? shipped.n : replay->capacity;
  if (n == 0) return;
  const uint32_t most = shipped.dtype == format::kElementI8 ? 1 : session->config.max_batch;
  for (uint32_t begin = 0; begin < n;) {
    const uint32_t piece = n - begin < most ? n - begin : most;
    if (!store_shipped(session, begin, piece).ok()) return replay_clear(replay);
    begin += piece;
  }
  for (const format::ExemplarClass& entry : shipped.classes) {
    session->classes.entries[entry.label].samples_seen = entry.rows;
    replay->seen += entry.rows;
  }
  // The stream was longer than what is here: rows to come fill the free slots first.
  if (replay->seen > n) replay->missing_inside = replay->capacity - n;
}

}  // namespace edgecl
