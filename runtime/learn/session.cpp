// Memory layout of a session, its reset, and its classes.
// Never here: a learn step, a prediction, the exported form.
#include "runtime/learn/session.h"

#include <float.h>
#include <string.h>

#include "runtime/core/executor.h"
#include "runtime/core/weights.h"
#include "runtime/learn/devices.h"
#include "runtime/learn/inference.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/replay/remember.h"
#include "runtime/learn/session_domains.h"
#include "runtime/learn/sparsity/gradient_mask.h"

namespace edgecl {
namespace {

size_t align_up(size_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

uint64_t most_of(uint64_t a, uint64_t b, uint64_t c) {
  const uint64_t larger = a > b ? a : b;
  return larger > c ? larger : c;
}

uint64_t learn_floats(const Plan& plan, const SessionConfig& config) {
  if (config.predict_only) return 0;
  // Under a head that keeps statistics a step passes the encoder as predictions do.
  const Mode mode = learns_by_gradient(config) ? Mode::kLearn : Mode::kPredict;
  return activation_floats(plan, mode, config_step_rows(config));
}

uint64_t predict_floats(const Plan& plan, const SessionConfig& config) {
  const uint64_t pass = activation_floats(plan, Mode::kPredict, config.max_batch);
  const HeadKind& head = *head_kind(config.head);
  const uint64_t work = head.work_floats ? head.work_floats(plan, config) : 0;
  return most_of(pass, work, novelty_work_floats(plan, config));
}

// Scratch memory of all threads. 64 bits, so that what a 32-bit machine cannot hold exhausts the arena.
void take_scratch(Arena* arena, const SessionConfig& config, uint64_t stride, Workspace* work) {
  work->scratch_stride = static_cast<size_t>(stride);
  work->scratch = arena->take<uint8_t>(config.n_threads * stride);
}

uint64_t scratch_stride(const Plan& plan, const ScratchTable& kernels, const SessionConfig& config, uint64_t passes) {
  const HeadKind& head = *head_kind(config.head);
  const uint64_t own = head.scratch_bytes ? align_up(head.scratch_bytes(plan, config, kernels)) : 0;
  const uint64_t routing = align_up(static_cast<size_t>(domains_scratch_bytes(plan, config, kernels)));
  const uint64_t novelty = align_up(static_cast<size_t>(novelty_scratch_bytes(plan, config, kernels)));
  return most_of(own, passes, routing > novelty ? routing : novelty);
}

// Activations and scratch of predictions. Shared: a predict and a learn step never run at once, so they use the same
// memory. Separate: predictions may come while a step is under way.
void lay_out_workspaces(Arena* arena, const Plan& plan, const ScratchTable& kernels, const SessionConfig& config,
                        Workspace* learn, Workspace* predict) {
  const uint64_t learn_size = learn_floats(plan, config), predict_size = predict_floats(plan, config);
  const bool separate = config.separate_predict && !config.predict_only;
  arena->begin_region("activations");
  learn->activations = arena->take<float>(separate || learn_size > predict_size ? learn_size : predict_size);
  arena->begin_region("scratch");
  const uint64_t steps = scratch_bytes_per_thread(plan, kernels, config_step_rows(config), learns_by_gradient(config),
                                                  selects_entries(config));
  const uint64_t changes = align_up(structure_scratch_bytes(plan, kernels, config));
  take_scratch(arena, config, scratch_stride(plan, kernels, config, changes > steps ? changes : steps), learn);
  *predict = *learn;
  if (!separate) return;
  arena->begin_region("predict");
  predict->activations = arena->take<float>(predict_size);
  const uint64_t passes = scratch_bytes_per_thread(plan, kernels, config.max_batch, false, false);
  take_scratch(arena, config, scratch_stride(plan, kernels, config, passes), predict);
  predict->norms = lay_out_group_norms(arena, plan, config.max_batch);
}

}  // namespace

void lay_out_session(Arena* arena, const Plan& plan, const ScratchTable& kernels, const Environment& env,
                     const SessionConfig& config, Session* session) {
  const bool learning = !config.predict_only;
  const bool by_gradient = learns_by_gradient(config);
  const WeightOptions options = {by_gradient, by_gradient && config.momentum > 0, selects_entries(config),
                                 config_step_rows(config), head_kind(config.head)->by_gradient};
  Weights weights;
  Workspace learn, predict;
  lay_out_weights(arena, plan, options, &weights, &learn);
  lay_out_classes(arena, plan, config.max_classes, &session->classes);
  lay_out_replay(arena, config_replay_capacity(config), exemplar_bytes(plan, config),
                 config_stores_logits(config) ? plan.model->class_capacity : 0,
                 by_gradient && config.replay_policy == format::kReplayBalanced ? plan.model->class_capacity : 0,
                 &session->replay);
  lay_out_step(arena, plan, config, &session->step);
  lay_out_structure(arena, plan, config, &session->structure);
  const HeadKind& head = *head_kind(config.head);
  format::RecipeRecord recipe = config;
  // Sums of a session that only predicts are for reading; domains are also routed by what others held out.
  if (!learning && config.max_domains == 0) recipe.head_merges = 0;
  HeadMemory head_memory;
  head_memory.dim = static_cast<uint32_t>(embedding_size(plan));
  head_memory.columns = plan.model->class_capacity;
  Domains domains;
  lay_out_domains(arena, plan, config, config.max_batch, &weights, &domains);
  if (head.lay_out && config.max_domains == 0) head.lay_out(arena, plan, recipe, &weights, &head_memory);
  NoveltyMemory novelty;
  lay_out_novelty(arena, plan, config, &novelty);
  arena->begin_region("classes");
  NoveltyWindow window;
  lay_out_window(arena, config, &window);
  arena->begin_region("step");
  const void** const predict_samples =
      config.separate_predict && learning ? arena->take<const void*>(config.max_batch) : session->step.samples;
  lay_out_workspaces(arena, plan, kernels, config, &learn, &predict);
  if (arena->measuring() || arena->exhausted()) return;

  session->plan = &plan;
  session->config = config;
  session->weights = weights;
  session->learn = learn;
  session->predict = predict;
  session->env = env;
  session->env.parallel.n_threads = config.n_threads;
  session->head = &head;
  session->head_op = last_layer_op(plan);
  session->head_memory = head_memory;
  session->domains = domains;
  session->novelty = novelty;
  session->window = window;
  session->head_bytes = arena->region_bytes("head");
  session->predict_samples = predict_samples;
  session->sample_bytes = sample_bytes(plan);
  session->sample_elements = sample_elements(plan);
  session->border = config_border(plan, config);
  session->macs_dense = row_macs_dense(plan, session->border.op);
}

SessionSizes session_sizes(const Arena& arena, const Plan& plan, const SessionConfig& config) {
  SessionSizes sizes = {};
  sizes.arena_bytes = arena.used();
  const char* const learnable[] = {"weights", "gradients", "velocity", "sparsity", "statistics", "structure", "head"};
  for (const char* region : learnable) sizes.learnable_bytes += arena.region_bytes(region);
  sizes.replay_bytes = arena.region_bytes("replay");
  if (!config.predict_only) sizes.learn_bytes = learn_floats(plan, config) * sizeof(float) + arena.region_bytes("step");
  sizes.predict_bytes = predict_floats(plan, config) * sizeof(float);
  sizes.scratch_bytes = arena.region_bytes("scratch");
  return sizes;
}

void reset_session(Session* session) {
  initialise_weights(*session->plan, session->weights, session->learn);
  if (session->domains.any()) {
    reset_domains(*session->plan, session->config, &session->domains);
    place_selected(session);
  } else if (session->head->reset) {
    session->head->reset(session->head_memory);
  }
  forget_devices(session, false);
  DeviceTable* const devices = devices_of(*session);
  if (devices != nullptr && devices->own->version > 0) next_version(devices);  // that it contributes nothing any more
  novelty_stale(session->novelty);
  session->thresholds.clear();
  restart_window({}, &session->window);
  session->step.stage = Stage::kIdle;
  classes_reset(*session->plan, &session->classes);
  replay_clear(&session->replay);
  session->counters = Counters();
  session->counters.seed = session->config.seed;
  session->counters.learning_rate = session->config.predict_only ? 0.0f : session->config.learning_rate;
  session->bounds = UpdateBounds();
  session->step_rows = own_step_rows(*session);
  session->note_settled = false;
  session->samples_predicted = session->refused_steps = session->structure_us = session->learn_us = 0;
  if (session->config.predict_only) return;
  session->counters.mask_stale = 1;
  structure_begin_task(session);
  choose_roles(session);
  remember_shipped(session);
}

void begin_task(Session* session) {
  session->counters.tasks++;
  session->counters.steps_in_task = 0;
  session->counters.drift = DriftDetector();
  if (session->config.predict_only) return;
  session->counters.mask_stale = 1;
  structure_begin_task(session);
  choose_roles(session);
}

Status check_present(const Session& session, int32_t label) {
  if (label >= 0 && static_cast<uint32_t>(label) < session.classes.capacity && session.classes.present[label])
    return Status();
  return failure(
      EDGECL_E_NOT_FOUND,
      "expected the label of a class that is present; found %d; add the class first, or ask edgecl_class_find",
      static_cast<int>(label));
}

Status add_class(Session* session, const char* name, int32_t* label) {
  EDGECL_RETURN_IF_FAILED(check_has_columns(*session->plan));
  const uint32_t next = class_next_label(session->classes);
  if (next == session->classes.capacity) {
    return failure(
        EDGECL_E_CAPACITY,
        "expected a free label below max_classes; found all %u in use; make the session with a larger max_classes, or "
        "forget a class",
        session->classes.capacity);
  }
  EDGECL_RETURN_IF_FAILED(check_class_add(session->classes, name));
  class_add(&session->classes, next, name);
  *label = static_cast<int32_t>(next);
  return Status();
}

Status forget_class(Session* session, int32_t label) {
  EDGECL_RETURN_IF_FAILED(check_present(*session, label));
  const uint32_t column = static_cast<uint32_t>(label);
  if (session->head->check_forget) EDGECL_RETURN_IF_FAILED(session->head->check_forget(session->head_memory, column));
  EDGECL_RETURN_IF_FAILED(check_domains_forget(session->domains, column));
  session->head->forget_class(session->head_memory, session->learning(), column);
  novelty_stale(session->novelty);
  if (!session->config.predict_only) {  // else there is no buffer, and a learner's state brought no count of its rows
    replay_forget(&session->replay, label, session->classes.entries[label].samples_seen);
    replay_clear_logit(&session->replay, column);  // the column may serve another class
  }
  ClassEntry* const entry = &session->classes.entries[label];
  if (others_class_rows(*session, column) > 0) {  // it stays, with the rows of other devices
    entry->samples_seen = 0;
    entry->merged = kMergedClass;
  } else {
    class_drop(&session->classes, column);
  }
  return Status();
}

Status set_learning_rate(Session* session, float learning_rate) {
  if (learning_rate >= FLT_MIN && learning_rate <= FLT_MAX) {
    session->counters.learning_rate = learning_rate;
    return Status();
  }
  return failure(EDGECL_E_ARGUMENT,
                 "expected a learning rate above 0 and finite; found another number; give one such as 0.03");
}

}  // namespace edgecl
