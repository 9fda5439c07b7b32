// Latent replay: the border up to which a network never changes, and activations there in place of samples.
// Never here: the buffer itself (replay.h), which rows a step has.
// After Gurbuz, Moorman, Dovrolis 2023, "SHARP: sparsity and hidden activation replay", and Pellegrini, Graffieti,
// Lomonaco, Maltoni 2020, "Latent replay for real-time continual learning".
#ifndef EDGECL_RUNTIME_LEARN_REPLAY_LATENT_REPLAY_H_
#define EDGECL_RUNTIME_LEARN_REPLAY_LATENT_REPLAY_H_

#include <stdint.h>

#include "runtime/core/plan.h"
#include "runtime/core/status.h"
#include "runtime/learn/config.h"

namespace edgecl {

struct Session;

// All ops before `op` are frozen (no parameter trains, every batch norm uses running statistics), and all that later
// ops read of them, or of the input, is `tensor`. op 0: there is no such place behind the input.
struct Border {
  uint32_t op = 0, tensor = 0;
};
// The last one. O(ops * tensors).
Border find_border(const Plan& plan);
// Of a session with this configuration: none unless it learns with latent_replay.
Border config_border(const Plan& plan, const SessionConfig& config);

// Bytes of what the buffer keeps of a row: the raw sample, or the float32 activations at the border, [C][H][W].
uint64_t exemplar_bytes(const Plan& plan, const SessionConfig& config);

// Errors: E_ARGUMENT (with augmentation, which cannot move an activation), E_UNSUPPORTED (no border).
Status check_latent_replay(const Plan& plan, const SessionConfig& config);

// From step.samples (raw for current rows; exemplars for replayed rows) to the logits of all step.n_rows rows, in learn
// mode. With a border the ops below it run for the current rows alone, with predict offsets; their activations go to
// step.latents, and step.samples then points there. `augmented`: with the crop and flip parameters of the step memory.
// E_NUMERIC: a normalised input, or an activation at the border, beyond 1e12 or not finite.
Status forward_step(Session* session, bool augmented);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REPLAY_LATENT_REPLAY_H_
