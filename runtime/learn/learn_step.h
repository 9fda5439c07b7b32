// One learn step, as a transaction that may stop between two units of work and go on.
// Never here: what a method's loss is, where memory comes from, the passes (learner.h).
#ifndef EDGECL_RUNTIME_LEARN_LEARN_STEP_H_
#define EDGECL_RUNTIME_LEARN_LEARN_STEP_H_

#include <stdint.h>

#include "runtime/learn/batch.h"

namespace edgecl {

struct StepReport {
  LossSums loss;
  uint32_t n_replayed;
  const uint32_t* slots;   // [n_replayed] buffer slots in row order
  const uint8_t* correct;  // [n] largest logit of the classes present was that of the label, before the update
  const float* row_loss;   // [n] of the current rows
  uint64_t step;
  uint64_t macs_forward, macs_backward, macs_paper;
  bool structure_changed;
  const char* note;  // null, or what the user should see
};  // arrays are valid until the next step

// Checks the request and stages its labels; the step then stands at Stage::kDraw. `batch.data` must stay until it ends.
// A step under way is given up. Errors: E_UNSUPPORTED (predict-only session), E_CAPACITY (batch above max_batch, label
// beyond max_classes), E_NOT_FOUND (class not present), E_ARGUMENT (negative label), E_DTYPE, E_SHAPE, E_NUMERIC.
Status learn_step_begin(Session* session, const Batch& batch, const int32_t* labels);
// At most `max_units` units of work (learner.h), each bounded by one operator; `report` is written when the step is
// done (Stage::kIdle). Between two calls predictions may come if the session has separate_predict. E_NUMERIC (input,
// loss, gradient or batch statistic not finite, or the update would overflow): the step has ended and nothing has
// changed.
Status learn_step_advance(Session* session, uint32_t max_units, StepReport* report);
// Rows that the step under way would draw from the buffer.
uint32_t learn_step_draws(const Session& session);

// Exactly one update from this batch and the method's replay draws; then the batch enters the reservoir. Either all of
// it happens, or, on any failure, nothing that is exported has changed. `slots_capacity`: most drawn slots that the
// caller can take (E_ARGUMENT when the step draws more); UINT32_MAX = does not want them. Errors: as above. Cost: one
// forward and backward pass over the rows; nothing depends on how much was learned before.
Status learn_step(Session* session, const Batch& batch, const int32_t* labels, uint32_t slots_capacity,
                  StepReport* report);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_LEARN_STEP_H_
