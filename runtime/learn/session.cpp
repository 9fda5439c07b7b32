// Memory layout of a session, its reset, and its classes.
// Never here: a learn step, a prediction, the exported form.
#include "runtime/learn/session.h"

#include <float.h>
#include <string.h>

#include "runtime/learn/methods/method.h"
#include "runtime/learn/sparsity/gradient_mask.h"

namespace edgecl {
namespace {

void plan_step_memory(Arena* arena, const Plan& plan, const SessionConfig& config, StepMemory* step) {
  const uint64_t rows = config_step_rows(config);
  const uint64_t columns = plan.model->class_capacity;
  const bool learning = !config.predict_only;
  const bool augment = learning && (config.augment_crop > 0 || config.augment_flip);
  arena->begin_region("step");
  StepMemory memory = {};
  memory.samples = arena->take<const void*>(rows);
  if (learning) {
    memory.labels = arena->take<int32_t>(rows);
    memory.loss_rows = arena->take<float>(rows);
    const uint64_t draws = config_draws(config) > 0 ? config_draws(config) : 1;  // a rehearsal makes one
    memory.slots = arena->take<uint32_t>(draws * config_draw_rows(config));
    memory.present = arena->take<uint8_t>(columns);
    memory.batch_classes = arena->take<uint8_t>(columns);
  }
  if (augment) {
    memory.crop_y = arena->take<int8_t>(rows);
    memory.crop_x = arena->take<int8_t>(rows);
    memory.flip = arena->take<uint8_t>(rows);
  }
  if (config_stores_logits(config)) {
    memory.targets = arena->take<const float*>(rows);
    memory.logits = arena->take<float>(config.max_batch * columns);
  }
  const Border border = config_border(plan, config);
  if (border.op != 0)
    memory.latents = arena->take<float>(config.max_batch * tensor_row_floats(plan.tensors[border.tensor]));
  if (learning && config.method == format::kMethodUer) memory.cosine = plan_cosine(arena, config.max_batch, columns);
  if (learning && config.sparsity.gradient_mask == format::kGradientMigu) {
    uint32_t most = 0;
    for (const format::ParamRecord& param : plan.params) {
      if (param.storage == format::kStorageSparse && param.dims[0] > most) most = param.dims[0];
    }
    memory.row_scores = arena->take<float>(most);
    memory.row_chosen = arena->take<uint8_t>(most);
  }
  *step = memory;
}

size_t align_up(size_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

uint64_t learn_floats(const Plan& plan, const SessionConfig& config) {
  return config.predict_only ? 0 : activation_floats(plan, Mode::kLearn, config_step_rows(config));
}

uint64_t predict_floats(const Plan& plan, const SessionConfig& config) {
  return activation_floats(plan, Mode::kPredict, config.max_batch);
}

// The head's column of one class: every stored entry that belongs to it, in values and velocities.
void zero_column(ParamBuffers* param, const format::ParamRecord& record, uint32_t label) {
  const auto zero = [&](uint64_t i) {
    param->value[i] = 0.0f;
    if (param->velocity) param->velocity[i] = 0.0f;
  };
  if (param->sparse) {  // rows of the pattern are classes
    for (int32_t block = 0; block < param->pattern.n_blocks; block++) {
      const uint32_t* row = param->pattern.row_start + static_cast<int64_t>(block) * param->pattern.rows + label;
      for (uint32_t k = row[0]; k < row[1]; k++) zero(k);
    }
    return;
  }
  if (record.rank == 2) {  // linear, [I][O]
    for (uint64_t i = 0; i < record.dims[0]; i++) zero(i * record.dims[1] + label);
    return;
  }
  const uint64_t per_class = param->n / record.dims[0];  // bias [O], convolution [O][I][kh][kw]
  for (uint64_t i = 0; i < per_class; i++) zero(label * per_class + i);
}

}  // namespace

void plan_session(Arena* arena, const Plan& plan, const KernelTable& kernels, const SessionConfig& config,
                  Session* session) {
  Buffers buffers;
  const LearnableOptions learnable = {!config.predict_only, !config.predict_only && config.momentum > 0,
                                      selects_entries(config), config_step_rows(config)};
  plan_learnable(arena, plan, learnable, &buffers);
  plan_classes(arena, plan, config.max_classes, &session->classes);
  const uint32_t replay_capacity = config.predict_only ? 0 : config.replay_capacity;
  plan_replay(arena, replay_capacity, exemplar_bytes(plan, config),
              config_stores_logits(config) ? plan.model->class_capacity : 0, &session->replay);
  plan_step_memory(arena, plan, config, &session->step);
  plan_structure(arena, plan, config, &session->structure);

  // A predict and a learn step never run at once, so they use the same memory.
  arena->begin_region("activations");
  const uint64_t learn = learn_floats(plan, config), predict = predict_floats(plan, config);
  buffers.activations = arena->take<float>(learn > predict ? learn : predict);
  arena->begin_region("scratch");
  buffers.scratch_stride =
      scratch_bytes_per_thread(plan, kernels, config_step_rows(config), !config.predict_only, selects_entries(config));
  const size_t structure_scratch = align_up(structure_scratch_bytes(plan, kernels, config));
  if (structure_scratch > buffers.scratch_stride) buffers.scratch_stride = structure_scratch;
  buffers.scratch = arena->take<uint8_t>(static_cast<uint64_t>(config.n_threads) * buffers.scratch_stride);
  buffers.kernels = &kernels;
  buffers.parallel = config.parallel;
  buffers.parallel.n_threads = config.n_threads;
  if (arena->measuring() || arena->exhausted()) return;

  session->plan = &plan;
  session->config = config;
  session->buffers = buffers;
  session->sample_bytes = sample_bytes(plan);
  session->sample_elements = sample_elements(plan);
  session->border = config_border(plan, config);
  session->macs_dense = row_macs_dense(plan, session->border.op);
}

SessionSizes session_sizes(const Arena& arena, const Plan& plan, const SessionConfig& config) {
  SessionSizes sizes = {};
  sizes.arena_bytes = arena.used();
  const char* const learnable[] = {"weights", "gradients", "velocity", "sparsity", "statistics", "structure"};
  for (const char* region : learnable) sizes.learnable_bytes += arena.region_bytes(region);
  sizes.replay_bytes = arena.region_bytes("replay");
  sizes.learn_bytes = config.predict_only ? 0 : learn_floats(plan, config) * sizeof(float) + arena.region_bytes("step");
  sizes.predict_bytes = predict_floats(plan, config) * sizeof(float);
  sizes.scratch_bytes = arena.region_bytes("scratch");
  return sizes;
}

void reset_session(Session* session) {
  initialise_learnable(*session->plan, &session->buffers);
  classes_reset(*session->plan, &session->classes);
  replay_clear(&session->replay);
  session->counters = Counters();
  session->counters.seed = session->config.seed;
  session->counters.learning_rate = session->config.predict_only ? 0.0f : session->config.learning_rate;
  session->bounds = UpdateBounds();
  session->samples_predicted = session->refused_steps = session->structure_us = session->learn_us = 0;
  if (session->config.predict_only) return;
  session->counters.mask_stale = 1;
  structure_begin_task(session);
  choose_task_masks(session);
}

void begin_task(Session* session) {
  session->counters.tasks++;
  session->counters.steps_in_task = 0;
  session->counters.drift = DriftDetector();
  if (session->config.predict_only) return;
  session->counters.mask_stale = 1;
  structure_begin_task(session);
  choose_task_masks(session);
}

void choose_task_masks(Session* session) {
  const GradientPolicy* policy = gradient_policy(session->config);
  if (policy && policy->begin_task) policy->begin_task(session);
}

Status check_can_add(const Session& session) {
  if (session.plan->model->head_weight != format::kNone) return Status();
  return failure(EDGECL_E_UNSUPPORTED,
                 "expected a bundle with a head whose columns are classes; found none in \"%s\"; export it with a head",
                 session.plan->string(session.plan->model->name));
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
  EDGECL_RETURN_IF_FAILED(check_can_add(*session));
  const uint32_t next = class_next_label(session->classes);
  if (next == session->classes.capacity) {
    return failure(
        EDGECL_E_CAPACITY,
        "expected a free label below max_classes; found all %u issued; make the session with a larger max_classes",
        session->classes.capacity);
  }
  EDGECL_RETURN_IF_FAILED(check_class_add(session->classes, next, name));
  class_add(&session->classes, next, name);
  *label = static_cast<int32_t>(next);
  return Status();
}

Status remove_class(Session* session, int32_t label) {
  EDGECL_RETURN_IF_FAILED(check_present(*session, label));
  const uint32_t column = static_cast<uint32_t>(label);
  const uint32_t head[] = {session->plan->model->head_weight, session->plan->model->head_bias};
  for (const uint32_t p : head) {
    // A frozen head holds nothing that was learned here; its column is merely never read again.
    if (p != format::kNone && session->buffers.params[p].trainable) {
      zero_column(&session->buffers.params[p], session->plan->params[p], column);
    }
  }
  replay_forget(&session->replay, label, session->classes.entries[label].samples_seen);
  class_drop(&session->classes, column);
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
