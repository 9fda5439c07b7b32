// Runs a plan: learnable memory, forward, backward, update.
// Never here: losses, replay, recipes, what a class is; checks of the plan (they were done when it was read).
#ifndef EDGECL_RUNTIME_CORE_EXECUTOR_H_
#define EDGECL_RUNTIME_CORE_EXECUTOR_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "runtime/core/arena.h"
#include "runtime/core/parallel.h"
#include "runtime/core/plan.h"
#include "runtime/core/planner.h"

namespace edgecl {

// What one parameter of the plan is at run time.
struct ParamBuffers {
  float* value;  // trainable: [n] in the session; frozen dense: in the bundle (never written); sparse: blocked order,
                 // in the session
  float* gradient;  // [n]; trainable only, else null
  float* velocity;  // [n]; trainable only and when asked for, else null
  uint64_t n;       // scalars: product of the dims, or nnz
  bool trainable;
  bool sparse;
  SparsePattern pattern;     // sparse only
  SparsePattern transposed;  // sparse and an input gradient is computed, else row_start == null
  float* transposed_value;   // [nnz], gathered once per backward pass
  uint64_t capacity;    // scalars that value, gradient and velocity have room for: n may move within it when sparse
  uint8_t* selection;   // [capacity] room for a gradient mask; sparse and trainable only and when asked for, else null
  uint64_t n_selected;  // entries with selection[k] != 0
  bool masked;          // only entries with selection[k] != 0 get a gradient (the others +0, without the work)
  bool skip_gradient;   // the weight and its bias get the gradient +0, without the work
  bool rests;           // takes no part in the pass under way: gradient and value stay as they are, without the work
};

// Statistics of one normalisation op; all null for other ops. Batch norm: arrays [C]. Group norm: only batch_mean and
// batch_rstd, [groups of channels][rows].
struct NormBuffers {
  float *running_mean,
      *running_var;     // in the session when the op follows the batch (not frozen), else in the bundle (never written)
  float* running_rstd;  // 1 / sqrt(running_var + eps), kept beside them
  float *batch_mean, *batch_rstd,
      *batch_var;  // of the last learn step (var unbiased); null when frozen or predict only
};

struct Profiler {
  void* clock_user = nullptr;
  uint64_t (*now_us)(void* clock_user) = nullptr;  // null: off
  void* user = nullptr;
  void (*event)(void* user, uint32_t op, uint32_t pass, uint64_t begin_us, uint64_t end_us, uint64_t macs) = nullptr;
};

// Called by the passes of a learn step where tensors of one op are at hand; null members are not called.
struct LayerProbe {
  void* user = nullptr;
  void (*after_forward)(void* user, uint32_t op) = nullptr;
  // The op's forward tensors that the backward record reads and its output gradient (a fused activation undone) hold.
  void (*after_backward)(void* user, const format::BackwardRecord& record) = nullptr;
};

// Everything that running a plan touches. plan_learnable fills params and norms; the caller sets the rest.
struct Buffers {
  ParamBuffers* params = nullptr;  // [n_params]
  NormBuffers* norms = nullptr;    // [n_ops]
  float* activations = nullptr;    // activation_floats(plan, mode, rows), 64-byte aligned
  uint8_t* scratch = nullptr;      // n_threads * scratch_stride bytes, 64-byte aligned
  size_t scratch_stride = 0;       // scratch_bytes_per_thread(...)
  const KernelTable* kernels = nullptr;
  Parallel parallel;
  // A round of a thread pool costs microseconds: ops of fewer multiply-adds plus floats than this run as one part. Does
  // not change results.
  uint64_t serial_work = 65536;
  Profiler profiler;
  LayerProbe probe;
};

struct LearnableOptions {
  bool learning;      // false: predict only; no gradients, velocities, transposed patterns or batch statistics
  bool velocity;      // momentum buffers
  bool selection;     // room for gradient masks of sparse parameters
  uint32_t max_rows;  // most rows of one forward or backward pass
};

// Takes memory for everything that learns, and for the structure of sparse layers, in regions "weights", "gradients",
// "velocity", "sparsity", "statistics". Trainable parameters live here; frozen dense ones stay in the bundle; sparse
// ones always get their pattern built here. In measuring mode only sizes add up and `buffers` is left alone. Contents
// are undefined until initialise_learnable. O(ops + params).
void plan_learnable(Arena* arena, const Plan& plan, const LearnableOptions& options, Buffers* buffers);

// Copies weights and statistics from the bundle, builds sparse patterns, zeroes gradients and velocities. Also resets a
// used session.
void initialise_learnable(const Plan& plan, Buffers* buffers);

// Recomputes running_rstd from running_var (after a state was imported).
void refresh_statistics(const Plan& plan, Buffers* buffers);

// Floats of the activation memory for `rows` rows, read slack included.
uint64_t activation_floats(const Plan& plan, Mode mode, uint64_t rows);
// Scratch bytes of one thread: the largest need of any kernel that forward, backward, update, loss or input may call,
// for any number of rows up to max_rows. A multiple of 64. O(ops * max_rows).
// `masked`: weight gradients of sparse layers may have a selection.
size_t scratch_bytes_per_thread(const Plan& plan, const KernelTable& kernels, uint32_t max_rows, bool learning,
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
// A tensor of the plan over the activation memory. Element (row r, channel c, y, x) is data[(((r / L * C + c) * H + y)
// * W + x) * L + r % L].
Tensor plan_tensor(const Plan& plan, const Buffers& buffers, uint32_t tensor, uint32_t rows, Mode mode);

// Runs one kernel over all parts, each with its own scratch.
template <class Args>
void run_kernel(const Buffers& buffers, void (*kernel)(const Args&, int, int, void*), const Args& args) {
  const int n_parts = static_cast<int>(buffers.parallel.n_threads);
  auto body = [&](uint32_t part) {
    kernel(args, static_cast<int>(part), n_parts, buffers.scratch + part * buffers.scratch_stride);
  };
  buffers.parallel.run(static_cast<uint32_t>(n_parts), body);
}

// All ops from tensor 0 (written by the caller) to the logits. kPredict: running statistics, predict offsets. kLearn:
// train offsets; batch norms that are not frozen use the batch's statistics and keep them in NormBuffers; running
// statistics stay as they are. Afterwards logits and embedding may be read until the next pass. 1 <= rows <= max_rows.
void forward(const Plan& plan, const Buffers& buffers, uint32_t rows, Mode mode);
// The ops begin..end-1 of such a pass; what they read of earlier ops is in its place already.
void forward_ops(const Plan& plan, const Buffers& buffers, uint32_t rows, Mode mode, uint32_t begin, uint32_t end);

// All backward records, from the gradient of the logits (written by the caller into tensor plan.logits_gradient()).
// Follows forward(kLearn) of the same rows. Overwrites the gradient of every trainable parameter that does not rest.
// `n_records`: the first so many alone, where what lies below them rests.
void backward(const Plan& plan, const Buffers& buffers, uint32_t rows, uint32_t n_records = UINT32_MAX);

// Every gradient of a trainable parameter that does not rest, and every batch statistic that commit_statistics would
// take over, is finite.
bool gradients_finite(const Plan& plan, const Buffers& buffers);

// running = (1 - momentum) * running + momentum * batch for every batch norm that follows the batch; then running_rstd.
void commit_statistics(const Plan& plan, Buffers* buffers);

// PyTorch's SGD over all trainable parameters that do not rest (sparse: over the stored values only).
void sgd(const Plan& plan, const Buffers& buffers, float learning_rate, float momentum, float weight_decay);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_EXECUTOR_H_
