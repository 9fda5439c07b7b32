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

// Where the frozen part ends, as the plan says (Plan::border_op). op 0: there is no such place behind the input.
struct Border {
  uint32_t op = 0, tensor = 0;
};
inline Border find_border(const Plan& plan) {
  return {plan.border_op, plan.border_tensor};
}
// Of a session with this configuration: none unless it learns with latent_replay.
Border config_border(const Plan& plan, const SessionConfig& config);

// Bytes of what the buffer keeps of a row: the raw sample, or the float32 activations at the border, [C][H][W].
uint64_t exemplar_bytes(const Plan& plan, const SessionConfig& config);

// Errors: E_ARGUMENT (with augmentation, which cannot move an activation), E_UNSUPPORTED (no border).
Status check_latent_replay(const Plan& plan, const SessionConfig& config);

// After the frozen ops ran for the current rows (learn workspace, predict offsets): keeps their activations at the
// border in step.latents, and lays those of all step.n_rows rows into the border tensor of the learn step. step.samples
// of the current rows then point to what the buffer may keep. E_NUMERIC: an activation beyond 1e12 or not finite.
Status cross_border(Session* session);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REPLAY_LATENT_REPLAY_H_
