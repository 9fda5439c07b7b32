// Configuration, sizes, making and ending of sessions.
// Never here: learning, inference, state.
#include <new>

#include "runtime/api/api_objects.h"
#include "runtime/learn/session_state.h"

namespace edgecl::api {
namespace {

Status check_flag(const char* field, uint32_t value) {
  if (value <= 1) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected %s to be 0 or 1; found %u; set one of these", field, value);
}

// The caller's configuration in the learner's terms, checked against the bundle.
Status read_config(const edgecl_model& model, const edgecl_session_config* from, SessionConfig* to, Environment* env) {
  EDGECL_RETURN_IF_FAILED(check_struct(from, "edgecl_session_config"));
  const edgecl_session_config c = read_struct(from);
  EDGECL_RETURN_IF_FAILED(check_flag("class_mask", c.class_mask));
  EDGECL_RETURN_IF_FAILED(check_flag("augment_flip", c.augment_flip));
  EDGECL_RETURN_IF_FAILED(check_flag("predict_only", c.predict_only));
  EDGECL_RETURN_IF_FAILED(check_flag("add_unseen_labels", c.add_unseen_labels));
  EDGECL_RETURN_IF_FAILED(check_flag("latent_replay", c.latent_replay));
  EDGECL_RETURN_IF_FAILED(check_struct(&c.hooks, "edgecl_hooks"));
  *to = default_config(model.plan);
  to->max_batch = c.max_batch;
  to->n_threads = c.n_threads;
  to->max_classes = c.max_classes;
  to->method = c.method;
  to->replay_capacity = c.replay_capacity;
  to->replay_batch = c.replay_batch;
  to->class_mask = c.class_mask != 0;
  to->augment_crop = c.augment_crop;
  to->augment_flip = c.augment_flip != 0;
  to->predict_only = c.predict_only != 0;
  to->add_unseen_labels = c.add_unseen_labels != 0;
  to->learning_rate = c.learning_rate;
  to->momentum = c.momentum;
  to->weight_decay = c.weight_decay;
  to->alpha = c.alpha;
  to->beta = c.beta;
  to->seed = c.seed;
  to->latent_replay = c.latent_replay != 0;
  to->cosine_scale = c.cosine_scale;
  to->structure = c.sparsity.structure;
  to->growth = c.sparsity.growth;
  to->structure_interval = c.sparsity.structure_interval;
  to->structure_updates = c.sparsity.structure_updates;
  to->structure_inter = c.sparsity.structure_inter;
  to->structure_intra = c.sparsity.structure_intra;
  to->importance_current = c.sparsity.importance_current;
  to->importance_replay = c.sparsity.importance_replay;
  to->gradient_mask = c.sparsity.gradient_mask;
  to->gradient_interval = c.sparsity.gradient_interval;
  to->gradient_keep = c.sparsity.gradient_keep;
  to->boundary = c.sparsity.boundary;
  to->drift_delta = c.sparsity.drift_delta;
  to->drift_threshold = c.sparsity.drift_threshold;
  *env = Environment();
  env->kernels = model.kernels;
  env->hook_user = c.hooks.user;
  env->now_us = c.hooks.now_us;
  env->log = c.hooks.log;
  env->parallel.n_threads = c.n_threads;
  env->parallel.user = c.hooks.user;
  env->parallel.parallel_for = c.hooks.parallel_for;
  return check_config(model.plan, *to);
}

edgecl_session_config write_config(const SessionConfig& from) {
  edgecl_session_config c;
  memset(&c, 0, sizeof c);
  c.max_batch = from.max_batch;
  c.n_threads = from.n_threads;
  c.max_classes = from.max_classes;
  c.method = from.method;
  c.replay_capacity = from.replay_capacity;
  c.replay_batch = from.replay_batch;
  c.class_mask = from.class_mask;
  c.augment_crop = from.augment_crop;
  c.augment_flip = from.augment_flip;
  c.predict_only = from.predict_only;
  c.learning_rate = from.learning_rate;
  c.momentum = from.momentum;
  c.weight_decay = from.weight_decay;
  c.alpha = from.alpha;
  c.beta = from.beta;
  c.latent_replay = from.latent_replay;
  c.cosine_scale = from.cosine_scale;
  c.sparsity.structure = from.structure;
  c.sparsity.growth = from.growth;
  c.sparsity.structure_interval = from.structure_interval;
  c.sparsity.structure_updates = from.structure_updates;
  c.sparsity.structure_inter = from.structure_inter;
  c.sparsity.structure_intra = from.structure_intra;
  c.sparsity.importance_current = from.importance_current;
  c.sparsity.importance_replay = from.importance_replay;
  c.sparsity.gradient_mask = from.gradient_mask;
  c.sparsity.gradient_interval = from.gradient_interval;
  c.sparsity.gradient_keep = from.gradient_keep;
  c.sparsity.boundary = from.boundary;
  c.sparsity.drift_delta = from.drift_delta;
  c.sparsity.drift_threshold = from.drift_threshold;
  c.hooks.struct_size = sizeof c.hooks;
  return c;
}

// One layout for measuring and for building: the handle first, then the learner.
edgecl_session* lay_out(Arena* arena, const edgecl_model& model, const ScratchTable& kernels,
                        const SessionConfig& config, const Environment& env, Session* session) {
  arena->begin_region("control");
  edgecl_session* handle = arena->take<edgecl_session>(1);
  lay_out_session(arena, model.plan, kernels, env, config, session);
  return handle;
}

// The machine that sizes are asked for.
struct Target {
  const ScratchTable* kernels;
  uint32_t pointer_bytes;
};

// Null: this machine, with the model's kernels.
Status read_target(const edgecl_model& model, const edgecl_target* from, Target* to) {
  *to = {model.kernels, sizeof(void*)};
  if (from == nullptr) return Status();
  EDGECL_RETURN_IF_FAILED(check_struct(from, "edgecl_target"));
  const edgecl_target target = read_struct(from);
  EDGECL_RETURN_IF_FAILED(check_pointer(target.level, "edgecl_target.level"));
  to->kernels = scratch_table(target.level);
  to->pointer_bytes = target.pointer_bytes;
  if (to->kernels == nullptr) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected the level reference, x86-64-v1, x86-64-v3, x86-64-v4 or neon; found another name; set "
                   "edgecl_target.level to one of these");
  }
  // Vector code is for 64-bit instruction sets alone.
  if (target.pointer_bytes == 8 || (target.pointer_bytes == 4 && to->kernels->tiled.floats == 1)) return Status();
  return failure(EDGECL_E_ARGUMENT,
                 "expected pointer_bytes 8, or 4 with the level reference; found %u; set edgecl_target.pointer_bytes",
                 target.pointer_bytes);
}

Status measure(const edgecl_model& model, const Target& target, const SessionConfig& config, const Environment& env,
               SessionSizes* sizes) {
  Arena arena(target.pointer_bytes);
  Session unused;
  lay_out(&arena, model, *target.kernels, config, env, &unused);
  if (arena.exhausted()) {
    return failure(
        EDGECL_E_CAPACITY,
        "expected a session that fits the address space; found one that does not; lower max_batch or replay_capacity");
  }
  *sizes = session_sizes(arena, model.plan, config);
  return Status();
}

Status build(edgecl_model* model, const SessionConfig& config, const Environment& env, void* memory, size_t bytes,
             const edgecl_allocator* owner, edgecl_session** session) {
  if (reinterpret_cast<uintptr_t>(memory) % kArenaAlignment != 0) {
    return failure(EDGECL_E_ARGUMENT, "expected an arena aligned to 64 bytes; found it otherwise; align it");
  }
  Arena arena(memory, bytes);
  Session learner;
  edgecl_session* handle = lay_out(&arena, *model, *model->kernels, config, env, &learner);
  if (arena.exhausted()) {
    return failure(EDGECL_E_ARENA_TOO_SMALL,
                   "expected an arena of the size that edgecl_session_sizes gives; found %zu bytes; enlarge it", bytes);
  }
  new (handle) edgecl_session{};
  handle->session = learner;
  handle->model = model;
  if (owner) handle->allocator = *owner;
  handle->arena_bytes = arena.used();
  reset_session(&handle->session);
  model->n_sessions.fetch_add(1, std::memory_order_acq_rel);
  *session = handle;
  return Status();
}

Status init(edgecl_model* model, const edgecl_session_config* config, void* arena, size_t arena_bytes,
            edgecl_session** session) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  EDGECL_RETURN_IF_FAILED(check_pointer(arena, "arena"));
  EDGECL_RETURN_IF_FAILED(check_pointer(session, "session"));
  SessionConfig checked;
  Environment env;
  EDGECL_RETURN_IF_FAILED(read_config(*model, config, &checked, &env));
  return build(model, checked, env, arena, arena_bytes, nullptr, session);
}

Status create(edgecl_model* model, const edgecl_session_config* config, const edgecl_allocator* allocator,
              edgecl_session** session) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  EDGECL_RETURN_IF_FAILED(check_pointer(session, "session"));
  SessionConfig checked;
  Environment env;
  EDGECL_RETURN_IF_FAILED(read_config(*model, config, &checked, &env));
  edgecl_allocator chosen;
  EDGECL_RETURN_IF_FAILED(choose_allocator(allocator, &chosen));
  SessionSizes sizes;
  EDGECL_RETURN_IF_FAILED(measure(*model, {model->kernels, sizeof(void*)}, checked, env, &sizes));
  const size_t bytes = static_cast<size_t>(sizes.arena_bytes);
  void* arena = chosen.allocate(chosen.user, bytes, kArenaAlignment);
  if (arena == nullptr) {
    return failure(EDGECL_E_NO_MEMORY,
                   "expected %zu bytes from the allocator; found none; lower max_batch or replay_capacity", bytes);
  }
  Status status = build(model, checked, env, arena, bytes, &chosen, session);
  if (!status.ok()) chosen.release(chosen.user, arena, bytes);
  return status;
}

Status sizes_of(const edgecl_model* model, const edgecl_session_config* config, const edgecl_target* target,
                edgecl_sizes* sizes) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  Target machine;
  EDGECL_RETURN_IF_FAILED(read_target(*model, target, &machine));
  EDGECL_RETURN_IF_FAILED(check_struct(sizes, "edgecl_sizes"));
  SessionConfig checked;
  Environment env;
  EDGECL_RETURN_IF_FAILED(read_config(*model, config, &checked, &env));
  SessionSizes measured;
  EDGECL_RETURN_IF_FAILED(measure(*model, machine, checked, env, &measured));
  edgecl_sizes found;
  memset(&found, 0, sizeof found);
  found.arena_alignment = kArenaAlignment;
  found.arena_bytes = measured.arena_bytes;
  found.learnable_bytes = measured.learnable_bytes;
  found.replay_bytes = measured.replay_bytes;
  found.learn_bytes = measured.learn_bytes;
  found.predict_bytes = measured.predict_bytes;
  found.scratch_bytes = measured.scratch_bytes;
  found.state_bytes_max = state_bytes_max(model->plan, checked);
  write_struct(found, sizes);
  return Status();
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

edgecl_status edgecl_session_config_init(const edgecl_model* model, edgecl_session_config* config) {
  if (model == nullptr || !api::check_struct(config, "edgecl_session_config").ok()) return EDGECL_E_ARGUMENT;
  api::write_struct(api::write_config(default_config(model->plan)), config);
  return EDGECL_OK;
}

edgecl_status edgecl_session_sizes_for(const edgecl_model* model, const edgecl_session_config* config,
                                       const edgecl_target* target, edgecl_sizes* sizes, edgecl_error* err) {
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::sizes_of(model, config, target, sizes);
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_session_sizes(const edgecl_model* model, const edgecl_session_config* config, edgecl_sizes* sizes,
                                   edgecl_error* err) {
  return edgecl_session_sizes_for(model, config, nullptr, sizes, err);
}

edgecl_status edgecl_session_init(edgecl_model* model, const edgecl_session_config* config, void* arena,
                                  size_t arena_bytes, edgecl_session** session, edgecl_error* err) {
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::init(model, config, arena, arena_bytes, session);
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_session_create(edgecl_model* model, const edgecl_session_config* config,
                                    const edgecl_allocator* allocator, edgecl_session** session, edgecl_error* err) {
  if (!api::check_error_struct(err).ok()) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::create(model, config, allocator, session);
  return status.ok() ? EDGECL_OK : report(status, err);
}

edgecl_status edgecl_session_reset(edgecl_session* session) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  reset_session(&session->session);
  return EDGECL_OK;
}

void edgecl_session_destroy(edgecl_session* session) {
  if (session == nullptr) return;
  const edgecl_allocator allocator = session->allocator;
  const size_t bytes = session->arena_bytes;
  edgecl_model* model = session->model;
  session->~edgecl_session();
  api::wipe(session, bytes);  // the handle is the first piece of the arena
  if (allocator.release) allocator.release(allocator.user, session, bytes);
  model->n_sessions.fetch_sub(1, std::memory_order_acq_rel);
}

const char* edgecl_session_error(const edgecl_session* session) {
  return session ? session->error : "";
}

edgecl_status edgecl_session_learning_rate(edgecl_session* session, float learning_rate) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  return call.done(set_learning_rate(&session->session, learning_rate));
}

}  // extern "C"
