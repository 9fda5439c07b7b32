// Runs a plan: activation memory, forward and backward passes.
// Never here: weights and their update (weights.h), losses, replay, what a class is; checks of the plan.
#ifndef EDGECL_RUNTIME_CORE_EXECUTOR_H_
#define EDGECL_RUNTIME_CORE_EXECUTOR_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/memory.h"
#include "runtime/core/planner.h"

namespace edgecl {

// Called by the passes of a learn step where tensors of one op are at hand; null members are not called.
struct LayerProbe {
  void* user = nullptr;
  void (*after_forward)(void* user, uint32_t op) = nullptr;
  // The op's forward tensors that the backward record reads and its output gradient (a fused activation undone) hold.
  void (*after_backward)(void* user, const format::BackwardRecord& record) = nullptr;
};

// Floats of the activation memory for `rows` rows, read slack included.
uint64_t activation_floats(const Plan& plan, Mode mode, uint64_t rows);
// Scratch bytes of one thread: the largest need of any kernel that forward, backward, update, loss or input may call,
// for any number of rows up to max_rows. A multiple of 64. O(ops): few
// numbers of rows stand for all (next_row_count).
// `masked`: weight gradients of sparse layers may have a selection.
uint64_t scratch_bytes_per_thread(const Plan& plan, const ScratchTable& kernels, uint32_t max_rows, bool learning,
                                  bool masked);

// True when every tensor of the plan has fewer than 2^31 floats for `rows` rows: kernels index with 32 bits. Sessions
// check max_rows with it.
bool rows_fit(const Plan& plan, uint64_t rows);

// How `rows` batch rows lie in memory: 16 lanes when rows is a multiple of 16, else one group of `rows` lanes.
struct BatchLayout {
  int32_t groups, lanes;
};
inline BatchLayout batch_layout(uint32_t rows) {
  if (rows % 16 == 0) return {static_cast<int32_t>(rows / 16), 16};
  return {1, static_cast<int32_t>(rows)};
}
// A tensor of the plan over activation memory. Element (row r, channel c, y, x) is data[(((r / L * C + c) * H + y) * W
// + x) * L + r % L].
Tensor plan_tensor(const Plan& plan, float* activations, uint32_t tensor, uint32_t rows, Mode mode);
inline Tensor plan_tensor(const Net& net, uint32_t tensor, uint32_t rows, Mode mode) {
  return plan_tensor(net.plan, net.work.activations, tensor, rows, mode);
}

// Runs one kernel over all parts, each with its own scratch.
template <class Args>
void run_kernel(const Net& net, void (*kernel)(const Args&, int, int, void*), const Args& args) {
  const int n_parts = static_cast<int>(net.env.parallel.n_threads);
  auto body = [&](uint32_t part) {
    kernel(args, static_cast<int>(part), n_parts, net.work.scratch + part * net.work.scratch_stride);
  };
  net.env.parallel.run(static_cast<uint32_t>(n_parts), body);
}

// The ops begin..end-1; what they read of earlier ops, or tensor 0, is in its place already. kPredict: running
// statistics, predict offsets. kLearn: train offsets; batch norms that are not frozen use the batch's statistics and
// keep them in NormWork; running statistics stay as they are. 1 <= rows <= max_rows. `probe` optional.
void forward_ops(const Net& net, uint32_t rows, Mode mode, uint32_t begin, uint32_t end,
                 const LayerProbe* probe = nullptr);
// All of them: afterwards logits and embedding may be read until the next pass.
inline void forward(const Net& net, uint32_t rows, Mode mode) {
  forward_ops(net, rows, mode, 0, net.plan.ops.n);
}

// Values of sparse layers in the order of their transposed patterns: what backward passes read. Once a step, before its
// first backward record.
void gather_transposed_values(const Net& net);
// The backward records begin..end-1, in the order of the list; begin 0 starts from the gradient of the logits (written
// by the caller into tensor plan.logits_gradient()). Follows forward_ops(kLearn) of the same rows. Overwrites the
// gradient of every parameter that takes part.
void backward_records(const Net& net, uint32_t rows, uint32_t begin, uint32_t end, const LayerProbe* probe = nullptr);
// The gather and all records.
inline void backward(const Net& net, uint32_t rows) {
  gather_transposed_values(net);
  backward_records(net, rows, 0, net.plan.backward.n);
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_EXECUTOR_H_
