// Sizes, making and ending of sessions; what is read of them.
// Never here: learning, inference, state, fields of the configuration (api_config.cpp).
#include <new>

#include "runtime/api/api_objects.h"
#include "runtime/learn/session_state.h"
#include "runtime/learn/weights.h"

namespace edgecl::api {
namespace {

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
    return failure(
        EDGECL_E_ARGUMENT,
        "expected the level reference, x86-64-v1, x86-64-v3, x86-64-v4, x86-64-v4-vnni, neon or neon-dot; found "
        "another name; set "
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
  *session = handle;
  return Status();
}

Status init(edgecl_model* model, const edgecl_session_config* config, const edgecl_session_options* options,
            void* arena, size_t arena_bytes, edgecl_session** session) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  ModelUse use(model);
  EDGECL_RETURN_IF_FAILED(use.entered());
  EDGECL_RETURN_IF_FAILED(check_pointer(arena, "arena"));
  EDGECL_RETURN_IF_FAILED(check_pointer(session, "session"));
  edgecl_session_options chosen;
  EDGECL_RETURN_IF_FAILED(read_optional(options, "edgecl_session_options", &chosen));
  SessionConfig checked;
  Environment env;
  EDGECL_RETURN_IF_FAILED(read_config(*model, config, chosen.hooks, &checked, &env));
  EDGECL_RETURN_IF_FAILED(build(model, checked, env, arena, arena_bytes, nullptr, session));
  use.keep();
  return Status();
}

Status create(edgecl_model* model, const edgecl_session_config* config, const edgecl_session_options* options,
              edgecl_session** session) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  ModelUse use(model);
  EDGECL_RETURN_IF_FAILED(use.entered());
  EDGECL_RETURN_IF_FAILED(check_pointer(session, "session"));
  edgecl_session_options chosen;
  EDGECL_RETURN_IF_FAILED(read_optional(options, "edgecl_session_options", &chosen));
  SessionConfig checked;
  Environment env;
  EDGECL_RETURN_IF_FAILED(read_config(*model, config, chosen.hooks, &checked, &env));
  edgecl_allocator allocator;
  EDGECL_RETURN_IF_FAILED(choose_allocator(chosen.allocator, &allocator));
  SessionSizes sizes;
  EDGECL_RETURN_IF_FAILED(measure(*model, {model->kernels, sizeof(void*)}, checked, env, &sizes));
  const size_t bytes = static_cast<size_t>(sizes.arena_bytes);
  void* arena = allocator.allocate(allocator.user, bytes, kArenaAlignment);
  if (arena == nullptr) {
    return failure(EDGECL_E_NO_MEMORY,
                   "expected %zu bytes from the allocator; found none; lower max_batch or replay_capacity", bytes);
  }
  Status status = build(model, checked, env, arena, bytes, &allocator, session);
  if (!status.ok()) {
    allocator.release(allocator.user, arena, bytes);
    return status;
  }
  use.keep();
  return status;
}

Status sizes_of(const edgecl_model* model, const edgecl_session_config* config, const edgecl_target* target,
                edgecl_sizes* sizes) {
  EDGECL_RETURN_IF_FAILED(check_pointer(model, "model"));
  const ModelUse use(model);
  EDGECL_RETURN_IF_FAILED(use.entered());
  Target machine;
  EDGECL_RETURN_IF_FAILED(read_target(*model, target, &machine));
  EDGECL_RETURN_IF_FAILED(check_struct(sizes, "edgecl_sizes"));
  SessionConfig checked;
  Environment env;
  EDGECL_RETURN_IF_FAILED(read_config(*model, config, nullptr, &checked, &env));
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

// The values in force: seed and learning rate belong to the state.
Status config_of(const edgecl_session* session, edgecl_session_config* config) {
  EDGECL_RETURN_IF_FAILED(check_struct(config, "edgecl_session_config"));
  SessionConfig present = session->session.config;
  present.seed = session->session.counters.seed;
  if (!present.predict_only) present.learning_rate = session->session.counters.learning_rate;
  write_struct(write_config(present), config);
  return Status();
}

Status weights_of(const edgecl_session* session, uint32_t index, float* out, size_t capacity) {
  EDGECL_RETURN_IF_FAILED(check_pointer(out, "out"));
  const Plan& plan = *session->session.plan;
  if (index >= plan.params.n) {
    return failure(EDGECL_E_NOT_FOUND, "expected a parameter below %u; found %u; ask for one of these", plan.params.n,
                   index);
  }
  const uint64_t size = param_size(plan.params[index]);
  if (size > capacity) {
    return failure(EDGECL_E_SHAPE, "expected room for %llu floats; found %zu; enlarge the array",
                   static_cast<unsigned long long>(size), capacity);
  }
  read_weights(session->session, index, out);
  return Status();
}

}  // namespace

Status ModelUse::entered() const {
  if (entered_) return Status();
  return failure(EDGECL_E_SEQUENCE, "expected an open model; found one that is being closed; open the bundle again");
}

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
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::sizes_of(model, config, target, sizes);
  return report(status, err);
}

edgecl_status edgecl_session_sizes(const edgecl_model* model, const edgecl_session_config* config, edgecl_sizes* sizes,
                                   edgecl_error* err) {
  return edgecl_session_sizes_for(model, config, nullptr, sizes, err);
}

edgecl_status edgecl_session_init(edgecl_model* model, const edgecl_session_config* config,
                                  const edgecl_session_options* options, void* arena, size_t arena_bytes,
                                  edgecl_session** session, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::init(model, config, options, arena, arena_bytes, session);
  return report(status, err);
}

edgecl_status edgecl_session_create(edgecl_model* model, const edgecl_session_config* config,
                                    const edgecl_session_options* options, edgecl_session** session,
                                    edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = api::create(model, config, options, session);
  return report(status, err);
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
  model->uses.fetch_sub(1, std::memory_order_release);
}

const char* edgecl_session_error(const edgecl_session* session) {
  return session ? session->error : "";
}

edgecl_status edgecl_session_config_get(const edgecl_session* session, edgecl_session_config* config) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::config_of(session, config)) : call.refusal();
}

edgecl_status edgecl_learning_rate_set(edgecl_session* session, float learning_rate) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(set_learning_rate(&session->session, learning_rate)) : call.refusal();
}

edgecl_status edgecl_learning_rate_get(const edgecl_session* session, float* learning_rate) {
  const api::SessionCall call(session);
  if (!call.entered()) return call.refusal();
  if (learning_rate == nullptr) return call.done(api::check_pointer(learning_rate, "learning_rate"));
  *learning_rate = session->session.counters.learning_rate;
  return EDGECL_OK;
}

edgecl_status edgecl_weights_read(const edgecl_session* session, uint32_t index, float* out, size_t capacity) {
  const api::SessionCall call(session);
  return call.entered() ? call.done(api::weights_of(session, index, out, capacity)) : call.refusal();
}

}  // extern "C"
