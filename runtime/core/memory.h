// The three kinds of memory that running a plan touches, by how long their contents mean something: weights,
// workspace, environment.
// Never here: layout in an arena (weights.h, workspace.h), passes (executor.h).
#ifndef EDGECL_RUNTIME_CORE_MEMORY_H_
#define EDGECL_RUNTIME_CORE_MEMORY_H_

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "runtime/core/arena.h"
#include "runtime/core/parallel.h"
#include "runtime/core/plan.h"

namespace edgecl {

// --- weights: what learning changes, and the bundle's values that it does not
// -----------------------------------------

// One parameter. Entries of a sparse one lie in blocked order (kernels.h).
struct ParamWeights {
  const float* value;        // what passes read: `own`, or the bundle's array
  float* own;                // [capacity] in the session; null when dense and frozen
  float* velocity;           // [capacity]; null without momentum
  uint8_t* selection;        // [capacity] 1 = gets a gradient under Role::kSelected; null without gradient masks
  uint64_t n;                // scalars: product of the dims, or entries stored now
  uint64_t capacity;         // room of the arrays: n moves within it when sparse
  uint64_t n_selected;       // entries with selection[k] != 0
  SparsePattern pattern;     // sparse only
  SparsePattern transposed;  // sparse, and an input gradient is computed; else row_start == null
  bool sparse;
};

// Statistics of one batch norm; all null for other operators. [channels]
struct NormWeights {
  const float *running_mean, *running_var;  // what passes read: the session's, or the bundle's when frozen
  float *own_mean, *own_var;                // null when frozen
  float* running_rstd;                      // 1 / sqrt(running_var + epsilon), kept beside them
};

EDGECL_TARGET_BYTES(ParamWeights, 120, 160);
EDGECL_TARGET_BYTES(NormWeights, 20, 40);

struct Weights {
  ParamWeights* params = nullptr;  // [n_params]
  NormWeights* norms = nullptr;    // [n_ops]
};

// --- workspace: means nothing between two calls
// ------------------------------------------------------------------------

// What the pass under way does with a parameter.
enum class Role : uint8_t {
  kFrozen,    // never changes in this session
  kTrains,    // every entry gets its gradient
  kSelected,  // entries with selection[k] != 0 get theirs; the others' is +0, without the work
  kZero,      // the gradient of the weight and of its bias is +0, without the work; the update runs
  kRests,     // no gradient and no update
};

struct ParamWork {
  float* gradient;          // [capacity]; null when frozen
  float* transposed_value;  // [capacity] values in the order of the transposed pattern, gathered once a backward pass
  Role role;
};

// Of the last learn step. Batch norm that follows the batch: [channels]. Group norm: mean and rstd, [groups of
// channels][rows]. Null otherwise.
// Other operators that keep something from the forward to the backward pass (OpRule::kept_floats) have it in batch_mean.
struct NormWork {
  float *batch_mean, *batch_rstd;
  float* batch_var;  // unbiased
};

EDGECL_TARGET_BYTES(ParamWork, 12, 24);
EDGECL_TARGET_BYTES(NormWork, 12, 24);

struct Workspace {
  ParamWork* params = nullptr;   // [n_params]
  NormWork* norms = nullptr;     // [n_ops]
  float* added = nullptr;        // gradients of one operator that are added to others (Plan::added_gradients)
  float* activations = nullptr;  // activation_floats(plan, mode, rows), 64-byte aligned
  uint8_t* scratch = nullptr;    // n_threads * scratch_stride bytes, 64-byte aligned
  size_t scratch_stride = 0;     // scratch_bytes_per_thread(...)
};

// --- environment: what the caller lends
// --------------------------------------------------------------------------------

struct Profiler {
  void* user = nullptr;
  void (*event)(void* user, uint32_t op, uint32_t pass, uint64_t begin_us, uint64_t end_us,
                uint64_t macs) = nullptr;  // null: off
};

struct Environment {
  const KernelTable* kernels = nullptr;
  Parallel parallel;
  // A round of a thread pool costs microseconds: ops of fewer multiply-adds plus floats than this run as one part. Does
  // not change results.
  uint64_t serial_work = 65536;
  void* hook_user = nullptr;
  uint64_t (*now_us)(void* user) = nullptr;  // null: no clock
  void (*log)(void* user, int32_t level, const char* text) = nullptr;
  Profiler profiler;

  uint64_t time_us() const { return now_us ? now_us(hook_user) : 0; }
  bool profiles() const { return profiler.event != nullptr && now_us != nullptr; }
};

// A plan with the memory that one pass runs over: a view, made anew for each pass.
struct Net {
  const Plan& plan;
  const Weights& weights;
  const Workspace& work;
  const Environment& env;
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_MEMORY_H_
