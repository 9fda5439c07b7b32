// The learner: one step in bounded units, encoder pass -> head -> loss -> backward -> check, of whatever rows were
// gathered. What it computes lies in memory that does not last.
// Never here: which rows a step has, what is committed (learn_step.cpp, rehearse.cpp), formulas.
#ifndef EDGECL_RUNTIME_LEARN_LEARNER_H_
#define EDGECL_RUNTIME_LEARN_LEARNER_H_

#include <stdint.h>

#include "runtime/learn/session.h"

namespace edgecl {

// Where a step ends up and who ends it: the two kinds of step differ in these alone.
struct StepKind {
  void (*draw)(Session* session);           // kDraw: rows, labels, roles, loss terms
  void (*after_forward)(Session* session);  // before the loss, with the logits; null: nothing
  Status (*after_loss)(Session* session);   // null: nothing
  void (*commit)(Session* session);         // cannot fail
  const char* loss_failure;                 // sentences of E_NUMERIC
  const char* update_failure;
};

// Does one unit of the step under way (session.step.stage): the draw; the input; one op of the frozen part, the border
// of latent replay, one op of the encoder, the head's scores; the loss; the head's part of the backward pass, one
// record of the encoder's; the check of the update; the commit. The last one leaves Stage::kIdle. A failure ends the
// step (Stage::kIdle) and nothing that lasts has changed. E_NUMERIC.
Status advance(Session* session, const StepKind& kind);

// Every record of the backward list and no probe: draws begin with it.
void begin_draw(Session* session);
// Drops augmentation parameters of the rows of a step from the words of `random`.
void draw_row_augmentation(Session* session, RandomStream random);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_LEARNER_H_
