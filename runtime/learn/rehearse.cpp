// One rehearsal step after the other, each a transaction as a learn step is.
// Never here: what is stored, the stream.
#include "runtime/learn/rehearse.h"

#include <string.h>

#include "runtime/core/weights.h"
#include "runtime/learn/learner.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/streams.h"

namespace edgecl {
namespace {

bool is_normalisation(const format::OpRecord& op) {
  return op.kind == format::kOpBatchNorm || op.kind == format::kOpGroupNorm || op.kind == format::kOpLayerNorm;
}

// Whether parameter `slot` of an op is rehearsed.
bool rehearsed(const Session& session, const format::OpRecord& op, uint32_t slot) {
  const uint32_t p = op.params[slot];
  if (p == format::kNone || session.plan->params[p].trainable == 0) return false;
  return is_of_last_layer(*session.plan, p) || (is_normalisation(op) && slot < 2);
}

// Records of the backward list down to the lowest parameter that is rehearsed; 0: none is.
uint32_t rehearsed_records(const Session& session) {
  const Plan& plan = *session.plan;
  for (uint32_t i = plan.backward.n; i-- > 0;) {
    for (uint32_t slot = 0; slot < 4; slot++) {
      if (rehearsed(session, plan.ops[plan.backward[i].op], slot)) return i + 1;
    }
  }
  return 0;
}

// All but the parameters that are rehearsed rest, and no gradient mask applies.
void choose_roles(Session* session) {
  const Plan& plan = *session->plan;
  for (uint32_t p = 0; p < plan.params.n; p++) session->learn.params[p].role = Role::kRests;
  for (const format::BackwardRecord& record : plan.backward) {
    const format::OpRecord& op = plan.ops[record.op];
    for (uint32_t slot = 0; slot < 4; slot++) {
      if (rehearsed(*session, op, slot)) session->learn.params[op.params[slot]].role = Role::kTrains;
    }
  }
  session->step.n_records = rehearsed_records(*session);
}

void draw(Session* session) {
  begin_draw(session);
  StepMemory& step = session->step;
  const Counters& counters = session->counters;
  RandomStream random = step_stream(counters.seed, Purpose::kRehearse, counters.rehearsals);
  const uint32_t n = replay_draw(&session->replay, &random, config_draw_rows(session->config), step.slots);
  for (uint32_t r = 0; r < n; r++) {
    step.samples[r] = session->replay.sample(step.slots[r]);
    step.labels[r] = session->replay.labels[step.slots[r]];
  }
  memcpy(step.present, session->classes.present, session->classes.n_columns);
  step.n_rows = step.n_replayed = n;
  step.n_current = 0;
  draw_row_augmentation(session, step_stream(counters.seed, Purpose::kRehearseAugment, counters.rehearsals));
  choose_roles(session);
  step.rows = {};
  step.rows.n[kSegmentDraw1] = n;
  step.rows.n_present = session->classes.n_present;
  step.terms = {};
  step.terms.add({LossKind::kCrossEntropy, kSegmentDraw1, ClassScope::kPresent, 1.0f / static_cast<float>(n)});
}

void commit(Session* session) {
  const StepMemory& step = session->step;
  apply_update(session->learning(), step.rates);
  commit_statistics(session->learning(), step.n_rows);
  session->bounds = step.bounds;
  const RowMacs &macs = step.macs, &dense = session->macs_dense;
  Counters& c = session->counters;
  c.rehearsals++;
  c.macs_learn += forward_macs(macs, step.n_rows, 0) + step.n_rows * (macs.input_gradient + macs.weight_gradient);
  c.macs_learn_dense +=
      forward_macs(dense, step.n_rows, 0) + step.n_rows * (dense.input_gradient + dense.weight_gradient);
  c.macs_paper += paper_macs(macs, step.n_rows, 0);
  c.macs_paper_dense += paper_macs(dense, step.n_rows, 0);
}

const StepKind kRehearsal = {
    draw,
    nullptr,
    nullptr,
    commit,
    "expected a finite loss of the rehearsed rows; found NaN or infinity; lower the learning rate",
    "expected finite gradients and weights that stay below 1e9; found a rehearsal step that breaks this; lower the "
    "learning rate"};

Status check_request(const Session& session, uint32_t n_steps) {
  if (!learns_by_gradient(session.config) || config_draw_rows(session.config) == 0) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session that learns with replay_capacity and replay_batch above 0; found %s; make one "
                   "with a buffer",
                   session.config.predict_only ? "predict_only = 1" : "no buffer");
  }
  if (n_steps <= format::kMaxRehearseSteps) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected at most %u rehearsal steps; found %u; call several times",
                 format::kMaxRehearseSteps, n_steps);
}

}  // namespace

Status rehearse(Session* session, uint32_t n_steps, RehearseReport* report) {
  *report = {0, 0.0f};
  EDGECL_RETURN_IF_FAILED(check_request(*session, n_steps));
  if (rehearsed_records(*session) == 0) {
    return failure(
        EDGECL_E_UNSUPPORTED,
        "expected a head or normalisations that train; found none in \"%s\"; export it with a trainable head",
        session->plan->string(session->plan->model->name));
  }
  const uint64_t begin_us = session->env.time_us();
  double sum = 0;
  Status status;
  while (session->replay.fill > 0 && report->done < n_steps) {
    session->step.stage = Stage::kDraw;
    while (status.ok() && session->step.stage != Stage::kIdle) status = advance(session, kRehearsal);
    if (!status.ok()) break;
    sum += static_cast<double>(session->step.loss.total);
    report->done++;
  }
  if (report->done > 0) report->mean_loss = static_cast<float>(sum / report->done);
  session->learn_us += session->env.time_us() - begin_us;
  return status;
}

}  // namespace edgecl
