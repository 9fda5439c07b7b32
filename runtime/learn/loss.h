// Computes the loss of a step, term by term, and the gradient of the logits.
// Never here: which terms there are (method_<name>.cpp), the formulas of one row (kernels cross_entropy, logits_mse).
#ifndef EDGECL_RUNTIME_LEARN_LOSS_H_
#define EDGECL_RUNTIME_LEARN_LOSS_H_

#include "runtime/learn/methods/method.h"
#include "runtime/learn/session.h"

namespace edgecl {

// Evaluates `terms` on the logits of the last forward(kLearn) of all rows and writes the gradient of the logits. Uses
// the step memory: labels, targets, present, batch_classes; a cosine term replaces the current rows' logits. Rows are
// summed in ascending order, so the sums are the same for any number of threads.
LossSums compute_loss(const Session& session, const StepRows& rows, const LossTerms& terms);

bool loss_finite(const LossSums& sums);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_LOSS_H_
