// Gradient masks: which weights get a gradient in a step. One policy a file.
// Never here: the kernels' way of leaving entries out.
#ifndef EDGECL_RUNTIME_LEARN_SPARSITY_GRADIENT_MASK_H_
#define EDGECL_RUNTIME_LEARN_SPARSITY_GRADIENT_MASK_H_

#include <stdint.h>

#include "runtime/learn/config.h"

namespace edgecl {

struct Session;

// Members may be null. None of them changes anything that lasts before commit, except selections that after_forward
// makes anew in every step.
struct GradientPolicy {
  // Sets roles for the step under way; all that learn have Role::kTrains before.
  void (*begin_step)(Session* session);
  // LayerProbe::after_forward; `session` is the user.
  void (*after_forward)(void* session, uint32_t op);
  // In commit, with the gradients of the step, before the update.
  void (*commit)(Session* session);
  bool keeps_selection;  // the selection outlives the step and belongs to the exported state
};
extern const GradientPolicy kDgm;   // gradient_mask_dgm.cpp
extern const GradientPolicy kMigu;  // gradient_mask_migu.cpp
extern const GradientPolicy kHft;   // gradient_mask_hft.cpp

// Null: every weight gets its gradient.
const GradientPolicy* gradient_policy(const SessionConfig& config);
// Roles of an ordinary step, by the policy; notes in Session::weights_trained how many scalars get a gradient. At the
// start of a step and of a task, and after an import.
void choose_roles(Session* session);
// Whether sparse parameters need room for a selection.
bool selects_entries(const SessionConfig& config);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SPARSITY_GRADIENT_MASK_H_
