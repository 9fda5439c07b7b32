// Multiply-adds of learn steps as they are really done, with the structure and gradient mask of the moment.
// Never here: clocks.
#ifndef EDGECL_RUNTIME_LEARN_STEP_COST_H_
#define EDGECL_RUNTIME_LEARN_STEP_COST_H_

#include <stdint.h>

#include "runtime/core/memory.h"
#include "runtime/core/plan.h"

namespace edgecl {

// Per batch row; convolutions and linear layers, as the field counts.
struct RowMacs {
  uint64_t forward, input_gradient, weight_gradient;
  uint64_t below;  // part of forward in ops before the border of latent replay, which replayed rows do not pass
};
// With the entries that are stored now, of the masked layers only the selected ones, and the first n_records of the
// backward list. `border_op`: Border::op, 0 without latent replay. O(ops).
RowMacs row_macs(const Net& net, uint32_t border_op, uint32_t n_records = UINT32_MAX);
// Scalars of a parameter that get a gradient in this role.
uint64_t entries_with_gradient(const ParamWeights& param, Role role);
// The same network with no weight left out and no gradient masked.
RowMacs row_macs_dense(const Plan& plan, uint32_t border_op);

// Of the forward pass of a step.
inline uint64_t forward_macs(const RowMacs& macs, uint64_t n_rows, uint64_t n_current) {
  return n_rows * (macs.forward - macs.below) + n_current * macs.below;
}
// The SparCL paper's count (Wang et al. 2022): every row goes forward, only current rows count backward.
inline uint64_t paper_macs(const RowMacs& macs, uint64_t n_rows, uint64_t n_current) {
  return forward_macs(macs, n_rows, n_current) + n_current * (macs.input_gradient + macs.weight_gradient);
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_STEP_COST_H_
