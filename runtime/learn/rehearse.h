// Rehearsal: steps on the buffer alone that update only the parameters that forget most.
// Never here: when to rehearse (the caller's), losses of learn steps.
#ifndef EDGECL_RUNTIME_LEARN_REHEARSE_H_
#define EDGECL_RUNTIME_LEARN_REHEARSE_H_

#include <stdint.h>

#include "runtime/learn/session.h"

namespace edgecl {

struct RehearseReport {
  uint32_t done;
  float mean_loss;  // of the steps done; 0 without one
};

// n steps of the mean cross-entropy (classes present) of at most replay_batch rows of the buffer, drawn afresh and
// augmented as in learn steps; they update head and scales and shifts of normalisations, by the session's SGD (learning
// rate, momentum, weight decay). All other parameters, their velocities and gradient masks stay as they are, and no
// gradient of theirs is computed; the backward pass ends at the lowest parameter that takes part. Batch statistics
// follow. Zhao, Zhou, Long, Jiang, Zhang 2023, "Does continual learning equally forget all parameters?" (FPF).
// Random words are those of streams of their own, by the number of rehearsal steps done. Each step happens as a whole
// or not at all; an error ends the call after the steps before it. Errors: E_UNSUPPORTED (predict-only, no buffer, or
// nothing of head and normalisations trains), E_ARGUMENT (too many steps), E_NUMERIC. An empty buffer: nothing happens.
Status rehearse(Session* session, uint32_t n_steps, RehearseReport* report);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REHEARSE_H_
