// Rows that enter the replay buffer without a step: of the caller, or of the bundle.
// Never here: which rows stay (admission.h), what a slot holds (replay.h).
#ifndef EDGECL_RUNTIME_LEARN_REPLAY_REMEMBER_H_
#define EDGECL_RUNTIME_LEARN_REPLAY_REMEMBER_H_

#include "runtime/learn/batch.h"

namespace edgecl {

// Admits the rows as a learn step would. Stored logits are those of a predict pass now. All or nothing. Errors:
// E_UNSUPPORTED (predict-only, no buffer), E_CAPACITY (more rows than max_batch), E_NOT_FOUND (a class that is not
// present), E_NUMERIC, and those of check_batch.
Status remember(Session* session, const Batch& batch, const int32_t* labels);

// Fills the empty buffer of a session that was reset with the exemplars of its bundle, as many as fit. It stays empty
// when the network makes no sound logits or activations of one of them.
void remember_shipped(Session* session);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REPLAY_REMEMBER_H_
