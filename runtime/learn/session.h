// A session: everything that changes, laid out in one block.
// Never here: what a learn step or a prediction does (learn_step.h, inference.h), types of the C API.
#ifndef EDGECL_RUNTIME_LEARN_SESSION_H_
#define EDGECL_RUNTIME_LEARN_SESSION_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/adapt/domains.h"
#include "runtime/core/arena.h"
#include "runtime/core/memory.h"
#include "runtime/core/plan.h"
#include "runtime/core/status.h"
#include "runtime/heads/head.h"
#include "runtime/learn/classes.h"
#include "runtime/learn/config.h"
#include "runtime/learn/optimizer.h"
#include "runtime/learn/replay/latent_replay.h"
#include "runtime/learn/replay/replay.h"
#include "runtime/learn/sparsity/drift.h"
#include "runtime/learn/sparsity/structure.h"
#include "runtime/learn/step_cost.h"
#include "runtime/learn/step_memory.h"
#include "runtime/novelty/window.h"

namespace edgecl {

// What is exported beside weights, classes and exemplars.
struct Counters {
  uint64_t seed;  // from the configuration; an imported state brings its own
  uint64_t step;  // steps done; with the seed it is the whole random state
  uint64_t samples_learned;
  uint64_t tasks;
  uint64_t macs_learn, macs_learn_dense;
  uint64_t macs_paper, macs_paper_dense;  // step_cost.h
  uint64_t steps_in_task;
  uint64_t structure_updates, weights_dropped, weights_grown;
  uint64_t rehearsals;  // rehearsal steps done
  uint32_t mask_stale;  // 1: the structure changed since the gradient mask was chosen
  float learning_rate;  // of the steps to come
  DriftDetector drift;
};

struct Session {
  const Plan* plan = nullptr;
  SessionConfig config = {};
  uint64_t sample_bytes = 0, sample_elements = 0;  // of a raw sample
  Border border;                                   // op 0 without latent replay
  const HeadKind* head = nullptr;
  uint32_t head_op = 0;  // the head's first op
  RowMacs macs_dense = {};

  Weights weights;
  Workspace learn, predict;  // one memory, unless config.separate_predict
  Environment env;
  HeadMemory head_memory;   // of the domain in place, where there are domains
  uint64_t head_bytes = 0;  // of the region "head"
  Domains domains;
  NoveltyMemory novelty;
  Thresholds thresholds = {};
  NoveltyWindow window;  // of the session's score
  ClassTable classes;
  Replay replay;
  StructureMemory structure;
  Counters counters = {};
  StepMemory step = {};
  const void** predict_samples = nullptr;  // [max_batch] rows of a prediction under way
  UpdateBounds bounds;
  uint32_t step_rows = 0;  // of the state: most rows of the steps that made it; 0 = the recipe's batch size

  // Of this object, not of the state.
  bool note_settled = false;  // StepReport::note was told, or need not be
  uint64_t samples_predicted = 0, refused_steps = 0, structure_us = 0, learn_us = 0;
  uint64_t weights_trained = 0;  // scalars that get a gradient in an ordinary step

  Net learning() const { return {*plan, weights, learn, env}; }
  Net predicting() const { return {*plan, weights, predict, env}; }
};

// Bytes of a session by what they are for.
struct SessionSizes {
  uint64_t arena_bytes;
  uint64_t learnable_bytes, replay_bytes, learn_bytes, predict_bytes, scratch_bytes;
};

// Lays a session out in `arena`, which may hold pieces of the caller's already; measuring arenas only add up. `session`
// is then filled, but holds no contents before reset_session. `kernels` are those that the session will run, of this
// machine or (measuring) of any other. `config` was checked; `env` has the kernels of this machine and the caller's
// hooks. O(ops), whatever the number of rows.
void lay_out_session(Arena* arena, const Plan& plan, const ScratchTable& kernels, const Environment& env,
                     const SessionConfig& config, Session* session);
// Reads the regions of an arena that lay_out_session used.
SessionSizes session_sizes(const Arena& arena, const Plan& plan, const SessionConfig& config);

// Session::step_rows of a session that learns by itself.
inline uint32_t own_step_rows(const Session& session) {
  return session.config.max_batch == session.plan->recipe->batch_size ? 0 : session.config.max_batch;
}

// Weights, statistics and classes as the bundle ships them; empty buffer, zero counters.
void reset_session(Session* session);

// Name of a class being added, or null for the decimal label. Errors: E_UNSUPPORTED (the bundle has no head that a
// class could use), E_CAPACITY, E_ARGUMENT (name).
Status add_class(Session* session, const char* name, int32_t* label);
// Forgets a present class: zeroes its head column and velocity, drops its exemplars and counts. Where rows of other
// devices were merged, it stays with these. E_NOT_FOUND when it is not present; E_UNSUPPORTED (HeadKind::check_forget).
Status forget_class(Session* session, int32_t label);
// E_NOT_FOUND unless 0 <= label < max_classes and the class is present.
Status check_present(const Session& session, int32_t label);
// A task ends and the next begins: structures expand, gradient masks are chosen anew.
void begin_task(Session* session);

// A finite number above 0; E_ARGUMENT otherwise.
Status set_learning_rate(Session* session, float learning_rate);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SESSION_H_
