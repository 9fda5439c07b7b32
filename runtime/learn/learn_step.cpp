// The order of a learn step: check, draw, compute into memory that does not last, check again, and only then commit.
// Never here: formulas; anything that writes lasting memory outside commit().
#include "runtime/learn/learn_step.h"

#include <string.h>

#include "runtime/learn/methods/method.h"
#include "runtime/learn/profile.h"
#include "runtime/learn/replay/augment.h"
#include "runtime/learn/sparsity/gradient_mask.h"
#include "runtime/learn/streams.h"

namespace edgecl {
namespace {

// Labels in range, and their classes present or (if the session adds unseen labels) fit to be added. Fills the step's
// class sets.
Status stage_labels(Session* session, const Batch& batch, const int32_t* labels, StepRows* rows) {
  const ClassTable& classes = session->classes;
  memcpy(session->step.present, classes.present, classes.n_columns);
  memset(session->step.batch_classes, 0, classes.n_columns);
  rows->n_present = classes.n_present;
  for (uint32_t r = 0; r < batch.n; r++) {
    const int32_t label = labels[r];
    if (label < 0) {
      return failure(EDGECL_E_ARGUMENT,
                     "expected labels of at least 0; found %d at row %u; hand in the label of a class",
                     static_cast<int>(label), r);
    }
    if (static_cast<uint32_t>(label) >= classes.capacity) {
      return failure(EDGECL_E_CAPACITY,
                     "expected labels below max_classes (%u); found %d at row %u; make the session with more classes",
                     classes.capacity, static_cast<int>(label), r);
    }
    if (!session->step.present[label]) {
      if (!session->config.add_unseen_labels) {
        return failure(EDGECL_E_NOT_FOUND,
                       "expected labels of present classes; found %d at row %u; call edgecl_class_add first, or set "
                       "add_unseen_labels",
                       static_cast<int>(label), r);
      }
      EDGECL_RETURN_IF_FAILED(check_can_add(*session));
      EDGECL_RETURN_IF_FAILED(check_class_add(classes, static_cast<uint32_t>(label), nullptr));
      session->step.present[label] = 1;
      rows->n_present++;
    }
    session->step.batch_classes[label] = 1;
    session->step.labels[r] = label;
  }
  return Status();
}

Status check_request(Session* session, const Batch& batch, const int32_t* labels, StepRows* rows) {
  if (session->config.predict_only) {
    return failure(EDGECL_E_UNSUPPORTED,
                   "expected a session that learns; found predict_only = 1; make one with predict_only = 0");
  }
  if (batch.n > session->config.max_batch) {
    return failure(
        EDGECL_E_CAPACITY,
        "expected at most max_batch = %u samples; found %u; cut the batch, or make the session with a larger one",
        session->config.max_batch, batch.n);
  }
  EDGECL_RETURN_IF_FAILED(check_batch(*session, batch));
  EDGECL_RETURN_IF_FAILED(stage_labels(session, batch, labels, rows));
  rows->n[kSegmentCurrent] = batch.n;
  return Status();
}

// Makes the method's draws; returns how many rows were drawn in all.
uint32_t draw_replay(Session* session, StepRows* rows) {
  const ProfileScope profile(session->buffers.profiler, kProfileReplay, 0);
  const uint32_t n_draws = config_draws(session->config);
  uint32_t total = 0;
  for (uint32_t d = 0; d < n_draws; d++) {
    RandomStream random =
        step_stream(session->counters.seed, d == 0 ? Purpose::kDraw1 : Purpose::kDraw2, session->counters.step);
    const uint32_t n =
        replay_draw(&session->replay, &random, config_draw_rows(session->config), session->step.slots + total);
    rows->n[kSegmentDraw1 + d] = n;
    total += n;
  }
  return total;
}

// Rows in the order [current | draw 1 | draw 2]: pointers to raw samples, labels, stored logits, augmentation.
void gather_rows(Session* session, const Batch& batch, uint32_t n_replayed) {
  const Replay& replay = session->replay;
  StepMemory& step = session->step;
  for (uint32_t r = 0; r < batch.n; r++) step.samples[r] = batch.sample(*session, r);
  for (uint32_t i = 0; i < n_replayed; i++) {
    const uint32_t slot = step.slots[i];
    step.samples[batch.n + i] = replay.sample(slot);
    step.labels[batch.n + i] = replay.labels[slot];
    if (step.targets) step.targets[batch.n + i] = replay.slot_logits(slot);
  }
  if (step.crop_y) {
    const Augment augment = {session->config.augment_crop, session->config.augment_flip};
    RandomStream random = step_stream(session->counters.seed, Purpose::kAugment, session->counters.step);
    draw_augmentation(augment, session->plan->tensors[0].height, batch.n + n_replayed, &random, step.crop_y,
                      step.crop_x, step.flip);
  }
}

// The backward pass may reuse the memory of the logits, so those that the buffer is to keep are copied out before it.
void keep_logits(Session* session, uint32_t n_current, uint32_t n_rows) {
  if (session->step.logits == nullptr) return;
  const Tensor logits =
      plan_tensor(*session->plan, session->buffers, session->plan->model->logits_tensor, n_rows, Mode::kLearn);
  const int32_t lanes = logits.lanes;
  for (uint32_t r = 0; r < n_current; r++) {
    const int32_t group = static_cast<int32_t>(r) / lanes, lane = static_cast<int32_t>(r) % lanes;
    const float* from = logits.data + static_cast<int64_t>(group) * logits.channels * lanes + lane;
    float* to = session->step.logits + static_cast<uint64_t>(r) * session->classes.n_columns;
    for (int32_t c = 0; c < logits.channels; c++) to[c] = from[static_cast<int64_t>(c) * lanes];
  }
}

// Rows that enter the reservoir, and their counts.
void admit_rows(Session* session, const Batch& batch, const int32_t* labels) {
  const ProfileScope profile(session->buffers.profiler, kProfileReplay, 1);
  RandomStream random = step_stream(session->counters.seed, Purpose::kReservoir, session->counters.step);
  for (uint32_t r = 0; r < batch.n; r++) {
    const uint32_t label = static_cast<uint32_t>(labels[r]);
    if (!session->classes.present[label]) class_add(&session->classes, label, nullptr);
    session->classes.entries[label].samples_seen++;
    const uint32_t slot = replay_admit(&session->replay, &random);
    if (slot == kNoSlot) continue;
    const float* logits =
        session->step.logits ? session->step.logits + static_cast<uint64_t>(r) * session->classes.n_columns : nullptr;
    // The raw sample; with latent replay its activations at the border (forward_step).
    replay_store(&session->replay, slot, session->step.samples[r], labels[r], logits);
  }
}

void count_step(Session* session, uint32_t n_rows, uint32_t n_current, const RowMacs& macs, StepReport* report) {
  const RowMacs& dense = session->macs_dense;
  Counters& c = session->counters;
  report->macs_forward = forward_macs(macs, n_rows, n_current);
  report->macs_backward = n_rows * (macs.input_gradient + macs.weight_gradient);
  report->macs_paper = paper_macs(macs, n_rows, n_current);
  c.step++;
  c.steps_in_task++;
  c.samples_learned += n_current;
  c.macs_learn += report->macs_forward + report->macs_backward;
  c.macs_learn_dense +=
      forward_macs(dense, n_rows, n_current) + n_rows * (dense.input_gradient + dense.weight_gradient);
  c.macs_paper += report->macs_paper;
  c.macs_paper_dense += paper_macs(dense, n_rows, n_current);
}

// The end of a step for structures and tasks; its time is told apart, since it is paid in few steps only.
bool move_structure(Session* session, float current_loss) {
  const SessionConfig& config = session->config;
  const format::SparsityRecord& sparsity = config.sparsity;
  const uint64_t begin_us = config.now_us ? config.now_us(config.hook_user) : 0;
  bool changed = structure_after_step(session);
  if (changed) session->counters.mask_stale = 1;
  if (sparsity.boundary == format::kBoundaryDrift &&
      drift_alarm(&session->counters.drift, current_loss, sparsity.drift_delta, sparsity.drift_threshold)) {
    begin_task(session);
    changed = changed || structure_rule(config) != nullptr;
  }
  if (changed && config.now_us) session->structure_us += config.now_us(config.hook_user) - begin_us;
  return changed;
}

void commit(Session* session, const SgdRates& rates) {
  const Plan& plan = *session->plan;
  const ProfileScope profile(session->buffers.profiler, kProfileUpdate, 1);
  const GradientPolicy* policy = gradient_policy(session->config);
  if (policy && policy->commit) policy->commit(session);
  apply_update(plan, session->buffers, rates);
  commit_statistics(plan, &session->buffers);
}

// LayerProbe::after_backward of a learn step: what the method adds to gradients, then scores that read them.
void after_backward(void* user, const format::BackwardRecord& record) {
  Session* session = static_cast<Session*>(user);
  const Method& method = method_of(session->config);
  if (method.after_backward) method.after_backward(session, record);
  if (session->step.scores_layers) score_layer(session, record);
}

// Callbacks and masks of the step under way; nothing of it lasts.
void begin_step(Session* session, uint32_t n_rows, uint32_t n_current) {
  session->step.n_rows = n_rows;
  session->step.n_current = n_current;
  const GradientPolicy* policy = gradient_policy(session->config);
  if (policy && policy->begin_step) policy->begin_step(session);
  LayerProbe& probe = session->buffers.probe;
  probe.user = session;
  probe.after_forward = policy ? policy->after_forward : nullptr;
  session->step.scores_layers = structure_due(*session) && session->structure.scores.any();
  const bool watched = session->step.scores_layers || method_of(session->config).after_backward;
  probe.after_backward = watched ? after_backward : nullptr;
}

// Per current row: was the largest logit that of its label. Before the loss, which may replace logits.
void report_correct(const Session& session, uint8_t* correct) {
  if (correct == nullptr) return;
  const Tensor logits = plan_tensor(*session.plan, session.buffers, session.plan->model->logits_tensor,
                                    session.step.n_rows, Mode::kLearn);
  for (uint32_t r = 0; r < session.step.n_current; r++) {
    const int32_t group = static_cast<int32_t>(r) / logits.lanes, lane = static_cast<int32_t>(r) % logits.lanes;
    const float* z = logits.data + static_cast<int64_t>(group) * logits.channels * logits.lanes + lane;
    int32_t best = -1;
    for (int32_t c = 0; c < logits.channels; c++) {
      const bool better =
          best < 0 || z[static_cast<int64_t>(c) * logits.lanes] > z[static_cast<int64_t>(best) * logits.lanes];
      if (session.step.present[c] && better) best = c;
    }
    correct[r] = best == session.step.labels[r] ? 1 : 0;
  }
}

}  // namespace

Status learn_step(Session* session, const Batch& batch, const int32_t* labels, uint32_t slots_capacity,
                  RowReport* row_report, StepReport* report) {
  const Plan& plan = *session->plan;
  const uint64_t begin_us = session->config.now_us ? session->config.now_us(session->config.hook_user) : 0;
  StepRows rows = {};
  EDGECL_RETURN_IF_FAILED(check_request(session, batch, labels, &rows));
  const uint32_t n_replayed = draw_replay(session, &rows);
  if (n_replayed > slots_capacity) {
    return failure(
        EDGECL_E_ARGUMENT,
        "expected room for the %u slots that this step draws; found replay_slots_capacity %u; enlarge the array",
        n_replayed, slots_capacity);
  }
  gather_rows(session, batch, n_replayed);
  const uint32_t n_rows = batch.n + n_replayed;
  begin_step(session, n_rows, batch.n);
  EDGECL_RETURN_IF_FAILED(forward_step(session, session->step.crop_y != nullptr));
  report_correct(*session, row_report->correct);

  LossPlan terms = {};
  method_of(session->config).losses(session->config, rows, &terms);
  const LossSums loss = compute_loss(*session, rows, terms);
  if (!loss_finite(loss)) {
    return failure(
        EDGECL_E_NUMERIC,
        "expected a finite loss; found NaN or infinity; check the range of the samples, or lower the learning rate");
  }
  keep_logits(session, batch.n, n_rows);
  for (uint32_t r = 0; row_report->loss && r < batch.n; r++)
    row_report->loss[r] = session->step.loss_rows[r] / terms.terms[0].row_weight;
  backward(plan, session->buffers, n_rows);
  const RowMacs macs = row_macs(plan, session->buffers, session->border.op);
  const SgdRates rates = {session->counters.learning_rate, session->config.momentum, session->config.weight_decay};
  UpdateBounds bounds = session->bounds;
  if (!update_is_sound(plan, session->buffers, rates, &bounds)) {
    return failure(EDGECL_E_NUMERIC,
                   "expected finite gradients and weights that stay below 1e9; found a step that breaks this; check "
                   "the range of the samples, or lower the learning rate");
  }
  commit(session, rates);
  session->bounds = bounds;
  admit_rows(session, batch, labels);
  count_step(session, n_rows, batch.n, macs, report);
  report->structure_changed = move_structure(session, loss.current);

  report->loss = loss;
  report->n_replayed = n_replayed;
  report->slots = session->step.slots;
  report->step = session->counters.step;
  if (session->config.now_us) session->learn_us += session->config.now_us(session->config.hook_user) - begin_us;
  return Status();
}

}  // namespace edgecl
