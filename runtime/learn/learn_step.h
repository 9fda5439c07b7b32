// One learn step, as a transaction.
// Never here: what a method's loss is, where memory comes from.
#ifndef EDGECL_RUNTIME_LEARN_LEARN_STEP_H_
#define EDGECL_RUNTIME_LEARN_LEARN_STEP_H_

#include <stdint.h>

#include "runtime/learn/batch.h"
#include "runtime/learn/loss.h"

namespace edgecl {

struct StepReport {
  LossSums loss;
  uint32_t n_replayed;
  const uint32_t* slots;  // [n_replayed] buffer slots in row order; valid until the next step
  uint64_t step;
  uint64_t macs_forward, macs_backward, macs_paper;
  bool structure_changed;
};

// What a caller may ask of each current row; null members are not wanted. Written even when the step then fails.
struct RowReport {
  uint8_t* correct;  // [n] largest logit of the classes present is that of the label, before the update
  float* loss;       // [n]
};

// Exactly one update from this batch and the method's replay draws; then the batch enters the reservoir. Either all of
// it happens, or, on any failure, nothing that is exported has changed. `slots_capacity`: most drawn slots that the
// caller can take (E_ARGUMENT when the step draws more); UINT32_MAX = does not want them. Errors: E_UNSUPPORTED
// (predict-only session), E_CAPACITY (batch above max_batch, label beyond max_classes), E_NOT_FOUND (class not
// present), E_ARGUMENT (negative label), E_DTYPE, E_SHAPE, E_NUMERIC (input, loss, gradient or batch statistic not
// finite, or the update would overflow). Cost: one forward and backward pass over the rows; nothing depends on how much
// was learned before.
Status learn_step(Session* session, const Batch& batch, const int32_t* labels, uint32_t slots_capacity,
                  RowReport* row_report, StepReport* report);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_LEARN_STEP_H_
