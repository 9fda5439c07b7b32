// The order of a learn step: check, draw, compute into memory that does not last, check again, and only then commit.
// Never here: formulas; anything that writes lasting memory outside commit().
#include "runtime/learn/learn_step.h"

#include <string.h>

#include "runtime/learn/augment.h"
#include "runtime/learn/method.h"
#include "runtime/learn/profile.h"
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

void commit(Session* session, const Batch& batch, const int32_t* labels, uint32_t n_rows, const SgdRates& rates) {
  const Plan& plan = *session->plan;
  {
    const ProfileScope profile(session->buffers.profiler, kProfileUpdate, 1);
    apply_update(plan, session->buffers, rates);
    commit_statistics(plan, &session->buffers);
  }
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
    replay_store(&session->replay, slot, batch.sample(*session, r), labels[r], logits);
  }
  session->counters.step++;
  session->counters.samples_learned += batch.n;
  session->counters.macs_learn += n_rows * (session->macs_forward + session->macs_backward);
  session->counters.macs_learn_dense += n_rows * (session->macs_forward_dense + session->macs_backward_dense);
}

}  // namespace

Status learn_step(Session* session, const Batch& batch, const int32_t* labels, uint32_t slots_capacity,
                  StepReport* report) {
  const Plan& plan = *session->plan;
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
  load_input(*session, n_rows, Mode::kLearn, session->step.crop_y != nullptr);
  EDGECL_RETURN_IF_FAILED(check_loaded_input(*session, n_rows));
  forward(plan, session->buffers, n_rows, Mode::kLearn);

  LossPlan terms = {};
  method_of(session->config).losses(session->config, rows, &terms);
  const LossSums loss = compute_loss(*session, rows, terms);
  if (!loss_finite(loss)) {
    return failure(
        EDGECL_E_NUMERIC,
        "expected a finite loss; found NaN or infinity; check the range of the samples, or lower the learning rate");
  }
  keep_logits(session, batch.n, n_rows);
  backward(plan, session->buffers, n_rows);
  const SgdRates rates = {session->counters.learning_rate, session->config.momentum, session->config.weight_decay};
  UpdateBounds bounds = session->bounds;
  if (!update_is_sound(plan, session->buffers, rates, &bounds)) {
    return failure(EDGECL_E_NUMERIC,
                   "expected finite gradients and weights that stay below 1e9; found a step that breaks this; check "
                   "the range of the samples, or lower the learning rate");
  }
  commit(session, batch, labels, n_rows, rates);
  session->bounds = bounds;

  report->loss = loss;
  report->n_replayed = n_replayed;
  report->slots = session->step.slots;
  report->step = session->counters.step;
  report->macs_forward = n_rows * session->macs_forward;
  report->macs_backward = n_rows * session->macs_backward;
  return Status();
}

}  // namespace edgecl
