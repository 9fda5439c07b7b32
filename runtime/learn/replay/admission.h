// Rows on their way into the replay buffer: which of them stay, by the policy of the session.
// Never here: what a slot holds (replay.h), losses.
#ifndef EDGECL_RUNTIME_LEARN_REPLAY_ADMISSION_H_
#define EDGECL_RUNTIME_LEARN_REPLAY_ADMISSION_H_

#include <stdint.h>

#include "runtime/core/rng.h"

namespace edgecl {

struct Session;

// The first `n` rows of the step memory enter the buffer in their order: samples, labels and (where the buffer keeps
// them) logits. Their classes exist from then on and count them. `weights` [n], or null: rows of weight 0 stay outside
// and are not counted.
void admit_rows(Session* session, uint32_t n, const float* weights, RandomStream random);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REPLAY_ADMISSION_H_
