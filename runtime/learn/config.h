// What a session is asked to be: recipe and limits, and the check of them against a plan.
// Never here: structs of the C API, memory, anything that changes after a session was made.
#ifndef EDGECL_RUNTIME_LEARN_CONFIG_H_
#define EDGECL_RUNTIME_LEARN_CONFIG_H_

#include <stdint.h>

#include "runtime/core/plan.h"
#include "runtime/core/status.h"
#include "runtime/core/subset.h"

namespace edgecl {

constexpr uint32_t kMaxThreads = EDGECL_MAX_THREADS;  // limits that bundles share stand in plan_records.h

// The recipe in force, and what belongs to this session alone (edgecl_session_config explains each field).
struct SessionConfig : format::RecipeRecord {
  uint32_t max_batch;
  uint32_t n_threads;
  uint32_t max_classes;
  bool predict_only;
  bool add_unseen_labels;
  bool separate_predict;  // predictions have activations of their own, and may come between the stages of a step
  uint64_t seed;
};

// Whether steps have losses and gradients: not with predict_only, nor under a head that keeps statistics. All that
// serves them (replay, structures, gradient masks, latent replay) then takes no memory and no time.
bool learns_by_gradient(const SessionConfig& config);
// Exemplars that the session has room for.
inline uint32_t config_replay_capacity(const SessionConfig& config) {
  return learns_by_gradient(config) ? config.replay_capacity : 0;
}

// The recipe that the bundle ships; one thread, seed 0, every class column usable. A bundle that trains nothing gets
// predict_only.
SessionConfig default_config(const Plan& plan);

// Every field in its range and in keeping with the plan. Errors: E_ARGUMENT (a field out of range), E_CAPACITY
// (max_classes below a label of the bundle), E_UNSUPPORTED (learning wanted from a bundle that trains nothing;
// augmentation of what is not an image).
Status check_config(const Plan& plan, const SessionConfig& config);

// Bytes of one raw sample, as the caller hands it in and as the replay buffer keeps it.
uint64_t sample_bytes(const Plan& plan);
uint64_t sample_elements(const Plan& plan);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_CONFIG_H_
