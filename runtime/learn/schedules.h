// Schedules of a recipe: learning rate through a task, examples to remove after an epoch, rehearsals.
// Never here: the loop over a stream (the caller's), the removal of examples (removal.h), rehearsals (rehearse.h).
#ifndef EDGECL_RUNTIME_LEARN_SCHEDULES_H_
#define EDGECL_RUNTIME_LEARN_SCHEDULES_H_

#include <stdint.h>

#include "runtime/core/plan_records.h"

namespace edgecl {

// Learning rate when the share `done` (0..1, beyond it the end) of a task has been learned: `full`; or from there down
// to rate_floor of it, along a line or half a cosine (Loshchilov, Hutter 2017, "SGDR: stochastic gradient descent with
// warm restarts", equation 5). The same bits on every machine.
float scheduled_rate(const format::RecipeRecord& recipe, float full, double done);

// Examples of a task of n_examples to remove after epoch `epoch` (from 1): an equal part of removal_share after each
// epoch that removal_stages names, to the nearest number (Wang et al. 2022, "SparCL").
uint32_t scheduled_removal(const format::RecipeRecord& recipe, uint32_t n_examples, uint32_t epoch);

// Rehearsal steps that are due after `steps_in_task` learn steps of a task: rehearse_steps every rehearse_interval
// steps.
uint32_t scheduled_rehearsal(const format::RecipeRecord& recipe, uint64_t steps_in_task);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SCHEDULES_H_
