// Weights and the part of the workspace that has their shape: layout in an arena, first contents, update.
// Never here: passes (executor.h), activations, which rule chooses roles.
#ifndef EDGECL_RUNTIME_CORE_WEIGHTS_H_
#define EDGECL_RUNTIME_CORE_WEIGHTS_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/memory.h"
#include "runtime/core/subset.h"

namespace edgecl {

struct WeightOptions {
  bool learning;      // false: predict only; no gradients, velocities, transposed patterns or batch statistics
  bool velocity;      // momentum
  bool selection;     // room for gradient masks of sparse parameters
  uint32_t max_rows;  // most rows of one forward or backward pass
  bool own = true;    // trainable parameters have memory here; else they are read in the bundle, as frozen ones are
};

// Takes memory for weights and their workspace, in regions "weights", "gradients", "velocity", "sparsity",
// "statistics". Trainable parameters live here (`own`); frozen dense ones stay in the bundle; sparse ones always get their
// pattern built here. A measuring arena only adds up, and the outputs are left alone. Contents are undefined until
// initialise_weights. O(ops + params).
void lay_out_weights(Arena* arena, const Plan& plan, const WeightOptions& options, Weights* weights, Workspace* work);

// NormWork [n_ops] of a second workspace that only predicts, `max_rows` rows at most: what group norms write.
NormWork* lay_out_group_norms(Arena* arena, const Plan& plan, uint32_t max_rows);

// Copies weights and statistics from the bundle, builds sparse patterns, zeroes velocities and gradients; every
// parameter that may learn gets Role::kTrains. Also resets a used session.
void initialise_weights(const Plan& plan, const Weights& weights, const Workspace& work);

// Sets every parameter's role for an ordinary step: kTrains where there is a gradient, else kFrozen.
void reset_roles(const Plan& plan, const Workspace& work);

// Recomputes running_rstd from running_var (after a state was imported).
void refresh_statistics(const Plan& plan, const Weights& weights);

// Every gradient of a parameter that takes part is finite.
bool gradients_finite(const Net& net);

// So is every statistic that commit_statistics would take over after a step of so many rows.
bool statistics_finite(const Net& net, uint32_t rows);

// running = (1 - momentum) * running + momentum * batch for every batch norm that follows a batch of so many rows;
// then running_rstd.
void commit_statistics(const Net& net, uint32_t rows);

// PyTorch's SGD over all parameters that take part (sparse: over the stored values only).
void sgd(const Net& net, float learning_rate, float momentum, float weight_decay);

// Whether a parameter is updated in the pass under way.
inline bool takes_part(const ParamWork& work) {
  return work.gradient != nullptr && work.role != Role::kRests;
}

// Whether an operator's running statistics follow the batch, and so are learned.
inline bool has_running_statistics(const format::OpRecord& op) {
  return kHasBatchNorm && op.kind == format::kOpBatchNorm && (op.flags & format::kOpFlagFrozen) == 0;
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_WEIGHTS_H_
