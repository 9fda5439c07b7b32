// When each tensor of a plan is alive, and where its frozen part ends.
// Never here: arena offsets (the writer assigns them, runtime/bundle proves them), memory.
#ifndef EDGECL_RUNTIME_CORE_PLANNER_H_
#define EDGECL_RUNTIME_CORE_PLANNER_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/plan.h"

namespace edgecl {

enum class Mode { kPredict, kLearn };

// Steps of a pass, both inclusive. Step 0: the caller writes tensor 0. Step 1 + i: op i. Step 1 + n_ops: the caller
// reads logits and embedding and (learning) writes the gradient of the logits. Step 2 + n_ops + k: backward record k.
// first > last: never alive in this mode.
struct Lifetime {
  uint16_t first = 0xffff, last = 0;
  bool lives() const { return first <= last; }
  bool meets(const Lifetime& other) const { return first <= other.last && other.first <= last; }
};
EDGECL_SAME_BYTES(Lifetime);

// Floats' worth of memory that a tensor takes per batch row: C*H*W elements rounded up to 64 bytes, so that for any
// number of rows all offsets stay 64-byte aligned.
uint64_t tensor_arena_floats(const format::TensorRecord& tensor);

// The tensor whose memory this one uses: itself, or the one that it aliases (which is never an alias itself).
inline uint32_t alias_root(const Plan& plan, uint32_t tensor) {
  const uint32_t alias = plan.tensors[tensor].alias;
  return alias == format::kNone ? tensor : alias;
}

// Forward tensors that the backward pass of a record reads, at most 9; returns how many. The rule of its kind says
// which (ops/op_rule.h).
uint32_t backward_reads(const Plan& plan, const format::BackwardRecord& record, uint32_t tensors[9]);

// Fills lifetimes[n_tensors] for a mode. A tensor and its aliases share one lifetime, from the first write to the last
// use of any of them. Needs indices, order and aliases of the plan to be good; does not look at offsets.
void tensor_lifetimes(const Plan& plan, Mode mode, Lifetime* lifetimes);

// Writes plan->border_op and border_tensor. `lifetimes` is scratch, [n_tensors]. O(ops * tensors).
void find_border(Plan* plan, Lifetime* lifetimes);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_PLANNER_H_
