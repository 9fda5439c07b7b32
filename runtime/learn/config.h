// What a session is asked to be: recipe and limits, and the check of them against a plan.
// Never here: structs of the C API, memory, anything that changes after a session was made.
#ifndef EDGECL_RUNTIME_LEARN_CONFIG_H_
#define EDGECL_RUNTIME_LEARN_CONFIG_H_

#include <stdint.h>

#include "runtime/core/plan.h"
#include "runtime/core/status.h"

namespace edgecl {

constexpr uint32_t kMaxThreads = 64;  // limits that bundles share stand in plan_records.h

// The fields of edgecl_session_config, where each is explained.
struct SessionConfig {
  uint32_t max_batch;
  uint32_t n_threads;
  uint32_t max_classes;
  uint32_t method;  // format::Method
  uint32_t replay_capacity;
  uint32_t replay_batch;
  bool class_mask;
  uint32_t augment_crop;
  bool augment_flip;
  bool predict_only;
  bool add_unseen_labels;
  float learning_rate, momentum, weight_decay;
  float alpha, beta;
  uint64_t seed;
  bool latent_replay;
  float cosine_scale;
  format::SparsityRecord sparsity;
  uint32_t head;          // HeadNumber
  bool separate_predict;  // predictions have activations of their own, and may come between the stages of a step
};

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
