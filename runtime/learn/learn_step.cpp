// A learn step: the request, its rows, and what its commit writes.
// Never here: formulas, passes (learner.cpp); anything that writes lasting memory outside commit().
#include "runtime/learn/learn_step.h"

#include <string.h>

#include "runtime/core/encoder.h"
#include "runtime/core/weights.h"
#include "runtime/learn/learner.h"
#include "runtime/learn/magnitude.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/profile.h"
#include "runtime/learn/replay/admission.h"
#include "runtime/learn/session_domains.h"
#include "runtime/learn/sparsity/gradient_mask.h"
#include "runtime/learn/streams.h"

namespace edgecl {
namespace {

// Labels in range, and their classes present or (if the session adds unseen labels) fit to be added. Fills the step's
// class sets.
Status stage_labels(Session* session, const Batch& batch, const int32_t* labels) {
  const ClassTable& classes = session->classes;
  memcpy(session->step.present, classes.present, classes.n_columns);
  memset(session->step.batch_classes, 0, classes.n_columns);
  StepRows* const rows = &session->step.rows;
  *rows = {};
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
      EDGECL_RETURN_IF_FAILED(check_has_columns(*session->plan));
      if (classes.entries[label].issued) {
        return failure(EDGECL_E_NOT_FOUND,
                       "expected a label that is present or was never issued; found %d at row %u, which was forgotten; "
                       "call edgecl_class_add if its column is to be used again",
                       static_cast<int>(label), r);
      }
      session->step.present[label] = 1;
      rows->n_present++;
    }
    session->step.batch_classes[label] = 1;
    session->step.labels[r] = label;
  }
  return Status();
}

Status check_request(Session* session, const Batch& batch, const int32_t* labels) {
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
  // A crop may show the step less than what the buffer would keep.
  for (uint32_t r = 0; session->config.augment_crop > 0 && r < batch.n; r++) {
    if (!sample_within_limit(*session->plan, batch.sample(*session, r)))
      return failure(
          EDGECL_E_NUMERIC,
          "expected samples that stay below 1e12 once normalised; found a larger number in sample %u; repair "
          "or drop the sample",
          r);
  }
  if (session->head->check_learn) EDGECL_RETURN_IF_FAILED(session->head->check_learn(session->head_memory, batch.n));
  for (uint32_t r = 0; batch.weights != nullptr && r < batch.n; r++) {
    if (!(batch.weights[r] >= 0 && batch.weights[r] <= kLargestClassWeight))
      return failure(EDGECL_E_ARGUMENT,
                     "expected weights in 0..1e6; found another number at row %u; correct the weights", r);
    if (!session->head->by_gradient && batch.weights[r] != 0 && batch.weights[r] != 1)
      return failure(EDGECL_E_UNSUPPORTED,
                     "expected weights of 0 or 1, since the head counts rows; found another number at row %u", r);
  }
  return stage_labels(session, batch, labels);
}

bool ships(const Plan& plan, int32_t label) {
  for (const format::ClassRecord& record : plan.classes) {
    if (record.label == static_cast<uint32_t>(label)) return true;
  }
  return false;
}

// At the first step that brings a class which the bundle does not ship: whether anything of the shipped ones is replayed.
// Settled once in the life of a session.
const char* note_of(Session* session) {
  const Plan& plan = *session->plan;
  if (session->note_settled || plan.classes.n == 0 || !session->head->by_gradient) return nullptr;
  bool other = false;
  for (uint32_t r = 0; r < session->step.n_current && !other; r++) other = !ships(plan, session->step.labels[r]);
  if (!other) return nullptr;
  session->note_settled = true;
  for (uint32_t slot = 0; slot < session->replay.fill; slot++) {
    if (ships(plan, session->replay.labels[slot])) return nullptr;
  }
  if (session->replay.capacity == 0) {
    return "this bundle ships classes, and nothing of them is replayed while others are learned, so they may be "
           "forgotten; learn by a method with a buffer, and ship exemplars of them";
  }
  return "this bundle ships classes, and the replay buffer holds no exemplar of them, so they may be forgotten while "
         "others are learned; ship exemplars (edgecl export --remember), or hand some in first (edgecl_remember, "
         "Classifier.remember)";
}

// Makes the method's draws and gathers the rows in the order [current | draw 1 | draw 2]: raw samples, labels, stored
// logits.
void draw_replay(Session* session) {
  const ProfileScope profile(session->env, kProfileReplay, 0);
  StepMemory& step = session->step;
  const uint32_t n_draws = config_draws(session->config);
  for (uint32_t d = 0; d < n_draws; d++) {
    RandomStream random =
        step_stream(session->counters.seed, d == 0 ? Purpose::kDraw1 : Purpose::kDraw2, session->counters.step);
    const uint32_t n =
        replay_draw(&session->replay, &random, config_draw_rows(session->config), step.slots + step.n_replayed);
    step.rows.n[kSegmentDraw1 + d] = n;
    step.n_replayed += n;
  }
  for (uint32_t i = 0; i < step.n_replayed; i++) {
    const uint32_t slot = step.slots[i], row = step.n_current + i;
    step.samples[row] = session->replay.sample(slot);
    step.labels[row] = session->replay.labels[slot];
    if (step.targets) step.targets[row] = session->replay.slot_logits(slot);
  }
  step.n_rows = step.n_current + step.n_replayed;
}

// LayerProbe::after_backward of a learn step: what the method adds to gradients, then scores that read them.
void after_backward(void* user, const format::BackwardRecord& record) {
  Session* session = static_cast<Session*>(user);
  const Method& method = method_of(session->config);
  if (method.after_backward) method.after_backward(session, record);
  if (session->step.scores_layers) score_layer(session, record);
}

void draw(Session* session) {
  StepMemory& step = session->step;
  begin_draw(session);
  draw_replay(session);
  draw_row_augmentation(session, step_stream(session->counters.seed, Purpose::kAugment, session->counters.step));
  choose_roles(session);
  const GradientPolicy* policy = gradient_policy(session->config);
  step.probe.after_forward = policy ? policy->after_forward : nullptr;
  step.scores_layers = structure_due(*session) && session->structure.scores.any();
  const bool watched = step.scores_layers || method_of(session->config).after_backward;
  step.probe.after_backward = watched ? after_backward : nullptr;
  step.terms = {};
  method_of(session->config).losses(session->config, step.rows, &step.terms);
}

// Per current row: was the largest logit of the classes present that of its label.
void note_correct(Session* session) {
  StepMemory& step = session->step;
  const Tensor logits =
      plan_tensor(session->learning(), session->plan->model->logits_tensor, step.n_rows, Mode::kLearn);
  for (uint32_t r = 0; r < step.n_current; r++) {
    int32_t best = -1;
    float largest = 0;
    for (int32_t c = 0; c < logits.channels; c++) {
      const float z = tensor_element(logits, r, c, 0);
      if (!step.present[c] || (best >= 0 && !(z > largest))) continue;
      best = c;
      largest = z;
    }
    step.correct[r] = best == step.labels[r] ? 1 : 0;
  }
}

// Before the loss, which may replace logits; the embeddings that a head without gradients learns from.
void after_forward(Session* session) {
  StepMemory& step = session->step;
  if (session->head->by_gradient) return note_correct(session);
  memset(step.correct, 0, step.n_current);  // nothing was scored
  const Net net = session->learning();
  copy_rows_out(net, plan_tensor(net, session->plan->model->embedding_tensor, step.n_rows, Mode::kPredict),
                step.n_current, false, step.embeddings);
  if (session->domains.any())
    gather_features(*session->plan, session->domains, step.n_current, session->config.max_batch);
}

// The backward pass may reuse the memory of the logits, so those that the buffer is to keep are copied out before it.
Status after_loss(Session* session) {
  StepMemory& step = session->step;
  for (uint32_t r = 0; r < step.n_current; r++) step.loss_rows[r] /= step.terms.terms[0].row_weight;
  if (step.logits == nullptr) return Status();
  const Net net = session->learning();
  copy_rows_out(net, plan_tensor(net, session->plan->model->logits_tensor, step.n_rows, Mode::kLearn), step.n_current,
                false, step.logits);
  const uint64_t n_logits = static_cast<uint64_t>(step.n_current) * session->classes.n_columns;
  if (magnitudes_within(step.logits, n_logits, kLargestInput)) return Status();
  return failure(
      EDGECL_E_NUMERIC,
      "expected logits that stay below 1e12, since the buffer keeps them; found a larger one; check the range "
      "of the samples, or lower the learning rate");
}

void count_step(Session* session) {
  const StepMemory& step = session->step;
  const RowMacs& dense = session->macs_dense;
  const uint64_t n_rows = step.n_rows, n_current = step.n_current;
  Counters& c = session->counters;
  c.step++;
  c.steps_in_task++;
  c.samples_learned += n_current;
  c.macs_learn +=
      forward_macs(step.macs, n_rows, n_current) + n_rows * (step.macs.input_gradient + step.macs.weight_gradient);
  c.macs_learn_dense +=
      forward_macs(dense, n_rows, n_current) + n_rows * (dense.input_gradient + dense.weight_gradient);
  c.macs_paper += paper_macs(step.macs, n_rows, n_current);
  c.macs_paper_dense += paper_macs(dense, n_rows, n_current);
}

// The end of a step for structures and tasks; its time is told apart, since it is paid in few steps only.
bool move_structure(Session* session, float current_loss) {
  const SessionConfig& config = session->config;
  const format::RecipeRecord& recipe = config;
  const uint64_t begin_us = session->env.time_us();
  bool changed = structure_after_step(session);
  if (changed) session->counters.mask_stale = 1;
  if (recipe.boundary == format::kBoundaryDrift &&
      drift_alarm(&session->counters.drift, current_loss, recipe.drift_delta, recipe.drift_threshold)) {
    begin_task(session);
    changed = changed || structure_rule(config) != nullptr;
  }
  if (changed) session->structure_us += session->env.time_us() - begin_us;
  return changed;
}

void commit(Session* session) {
  StepMemory& step = session->step;
  step.note = note_of(session);
  const Net net = session->learning();
  if (session->head->by_gradient) {
    const ProfileScope profile(session->env, kProfileUpdate, 1);
    const GradientPolicy* policy = gradient_policy(session->config);
    if (policy && policy->commit) policy->commit(session);
    apply_update(net, step.rates);
    commit_statistics(net, step.n_rows);
    session->bounds = step.bounds;
  } else {
    novelty_stale(session->novelty);
    for (uint32_t r = 0; r < step.n_current; r++) {
      if (step.row_weights != nullptr && step.row_weights[r] == 0) continue;
      session->head->learn_rows(session->head_memory, net, step.embeddings + r * session->head_memory.dim,
                                step.labels + r, 1);
      domain_learned(session, r, step.labels[r]);
    }
  }
  admit_rows(session, step.n_current, step.row_weights,
             step_stream(session->counters.seed, Purpose::kReservoir, session->counters.step));
  count_step(session);
  session->step_rows = own_step_rows(*session);
  step.structure_changed = session->head->by_gradient && move_structure(session, step.loss.current);
}

const StepKind kLearnStep = {
    draw,
    after_forward,
    after_loss,
    commit,
    "expected a finite loss; found NaN or infinity; check the range of the samples, or lower the learning rate",
    "expected finite gradients and weights that stay below 1e9; found a step that breaks this; check the range of the "
    "samples, or lower the learning rate"};

void write_report(const Session& session, StepReport* report) {
  const StepMemory& step = session.step;
  report->loss = step.loss;
  report->n_replayed = step.n_replayed;
  report->slots = step.slots;
  report->correct = step.correct;
  report->row_loss = step.loss_rows;
  report->step = session.counters.step;
  report->macs_forward = forward_macs(step.macs, step.n_rows, step.n_current);
  report->macs_backward = step.n_rows * (step.macs.input_gradient + step.macs.weight_gradient);
  report->macs_paper = paper_macs(step.macs, step.n_rows, step.n_current);
  report->structure_changed = step.structure_changed;
  report->note = step.note;
}

}  // namespace

Status learn_step_begin(Session* session, const Batch& batch, const int32_t* labels) {
  StepMemory& step = session->step;
  step.stage = Stage::kIdle;
  EDGECL_RETURN_IF_FAILED(check_request(session, batch, labels));
  step.at = 0;
  step.n_current = step.n_rows = batch.n;
  step.row_weights = batch.weights;
  step.note = nullptr;
  step.n_replayed = 0;
  step.macs = {};
  step.rows.n[kSegmentCurrent] = batch.n;
  for (uint32_t r = 0; r < batch.n; r++) step.samples[r] = batch.sample(*session, r);
  step.stage = Stage::kDraw;
  return Status();
}

uint32_t learn_step_draws(const Session& session) {
  const uint32_t most = config_draw_rows(session.config), fill = session.replay.fill;
  return config_draws(session.config) * (most < fill ? most : fill);
}

Status learn_step_advance(Session* session, uint32_t max_units, StepReport* report) {
  const uint64_t begin_us = session->env.time_us();
  for (; max_units > 0 && session->step.stage != Stage::kIdle; max_units--)
    EDGECL_RETURN_IF_FAILED(advance(session, kLearnStep));
  if (session->step.stage == Stage::kIdle) write_report(*session, report);
  session->learn_us += session->env.time_us() - begin_us;
  return Status();
}

Status learn_step(Session* session, const Batch& batch, const int32_t* labels, uint32_t slots_capacity,
                  StepReport* report) {
  EDGECL_RETURN_IF_FAILED(learn_step_begin(session, batch, labels));
  if (learn_step_draws(*session) > slots_capacity) {
    session->step.stage = Stage::kIdle;
    return failure(
        EDGECL_E_SHAPE,
        "expected room for the %u slots that this step draws; found replay_slots_capacity %u; enlarge the array",
        learn_step_draws(*session), slots_capacity);
  }
  return learn_step_advance(session, UINT32_MAX, report);
}

}  // namespace edgecl
