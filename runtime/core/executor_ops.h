// One op of a plan as kernel calls, forward and backward, and what such a visit runs over. Internal to runtime/core.
// Never here: loops over the plan, memory layout.
#ifndef EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_
#define EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_

#include "runtime/core/executor.h"
#include "runtime/core/subset.h"

// Called from every operator's file: inlined, these bodies would be kilobytes of the library.
#define EDGECL_ONE_COPY __attribute__((noinline))

namespace edgecl {

// The patterns of a sparse parameter without arrays: shape and blocks, and nnz at capacity.
SparsePattern pattern_shape(const format::ParamRecord& param);
SparsePattern transposed_pattern_shape(const format::ParamRecord& param);

// Where in Workspace::added the gradient of params[slot] of an op lies; slot 4: the end of all.
uint64_t added_gradient_begin(const Plan& plan, uint32_t op, uint32_t slot);

// What a visit runs over. Without weights only shapes count (the scratch measure); every pointer is then `unmapped()`,
// which is valid to compare with null and never read. Operators ask for everything through these functions.
struct Pass {
  const Net& net;
  uint32_t rows;
  Mode mode;
  bool masked = false;  // measuring: as if every sparse layer had a gradient mask

  static float* unmapped() {
    alignas(64) static float nothing[16];
    return nothing;
  }
  bool measuring() const { return net.weights.params == nullptr; }
  const Plan& plan() const { return net.plan; }
  const format::OpRecord& op(uint32_t i) const { return net.plan.ops[i]; }

  EDGECL_ONE_COPY Tensor tensor(uint32_t t) const {
    Tensor view = plan_tensor(net, t, rows, mode);
    if (measuring()) view.data = unmapped();
    return view;
  }
  EDGECL_ONE_COPY Int8Tensor int8_tensor(uint32_t t) const {
    const format::TensorRecord& record = net.plan.tensors[t];
    const Tensor view = tensor(t);
    return {
        reinterpret_cast<int8_t*>(view.data), view.rows(), view.height, view.width, view.channels, record.zero_point};
  }
  // Of a frozen parameter of integers.
  template <class T>
  const T* integers(uint32_t p) const {
    return reinterpret_cast<const T*>(value(p));
  }
  EDGECL_ONE_COPY Tensor tensor_or_null(uint32_t t, uint32_t shape_of) const {
    Tensor view = tensor(shape_of);
    view.data = t == format::kNone ? nullptr : tensor(t).data;
    return view;
  }
  const float* value(uint32_t p) const {
    if (p == format::kNone) return nullptr;
    return measuring() ? unmapped() : net.weights.params[p].value;
  }
  // Where the record's kernels write that of params[slot] of its op, when it takes part in the pass.
  EDGECL_ONE_COPY float* gradient(const format::BackwardRecord& record, uint32_t slot) const {
    if ((record.train_params >> slot & 1) == 0) return nullptr;
    if (measuring()) return unmapped();
    const ParamWork& param = net.work.params[op(record.op).params[slot]];
    if (param.role == Role::kRests) return nullptr;
    const bool added = (net.plan.added_gradients(record.op) >> slot & 1) != 0;
    return added ? net.work.added + added_gradient_begin(net.plan, record.op, slot) : param.gradient;
  }
  // Which entries of a sparse weight get a gradient; null: all.
  EDGECL_ONE_COPY const uint8_t* selected(uint32_t p) const {
    static const uint8_t nothing = 0;
    if (measuring()) return masked ? &nothing : nullptr;
    return net.work.params[p].role == Role::kSelected ? net.weights.params[p].selection : nullptr;
  }
  bool skips_gradient(uint32_t p) const { return !measuring() && net.work.params[p].role == Role::kZero; }
  bool is_sparse(uint32_t p) const { return kHasSparse && net.plan.params[p].storage == format::kStorageSparse; }
  EDGECL_ONE_COPY SparsePattern pattern(uint32_t p) const {
    return measuring() ? pattern_shape(net.plan.params[p]) : net.weights.params[p].pattern;
  }
  EDGECL_ONE_COPY SparsePattern transposed(uint32_t p) const {
    return measuring() ? transposed_pattern_shape(net.plan.params[p]) : net.weights.params[p].transposed;
  }
  const float* transposed_value(uint32_t p) const {
    return measuring() ? unmapped() : net.work.params[p].transposed_value;
  }
  // Statistics of op i: those that last, and those of the batch.
  EDGECL_ONE_COPY NormWeights running(uint32_t i) const {
    if (!measuring()) return net.weights.norms[i];
    return {unmapped(), unmapped(), nullptr, nullptr, unmapped()};
  }
  EDGECL_ONE_COPY NormWork batch(uint32_t i) const {
    if (!measuring()) return net.work.norms[i];
    return {unmapped(), unmapped(), unmapped()};
  }
  // What op i keeps from the forward to the backward pass (OpRule::kept_floats).
  float* kept(uint32_t i) const { return measuring() ? unmapped() : net.work.norms[i].batch_mean; }
};

// One kernel call of an op, whatever its kernel: the two visits exist once, not once for each thing done with a call.
struct KernelCall {
  void (*run)(const KernelTable& kernels, const void* args, int part, int n_parts, void* scratch);
  uint64_t (*scratch_bytes)(const ScratchTable& kernels, const void* args);
  const void* args;  // valid during the visit of this call
};
struct KernelVisitor {
  void* user;
  void (*visit)(void* user, const KernelCall& call);
};

// Names each kernel of the op's forward pass, in order.
void visit_forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor);
// The same for one backward record. A fused activation of a layer is undone in place on the output gradient first; what
// is added to gradients of earlier records is added last.
void visit_backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_
