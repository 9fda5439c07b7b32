// One op of a plan as kernel calls, forward and backward, and what such a visit runs over. Internal to runtime/core.
// Never here: loops over the plan, memory layout.
#ifndef EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_
#define EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_

#include "runtime/core/executor.h"

namespace edgecl {

// What a visit runs over. `params` null: only shapes count (the scratch measure); every pointer is then `unmapped()`,
// which is valid to compare with null and never read.
struct Pass {
  const Plan& plan;
  const Buffers& buffers;
  uint32_t rows;
  Mode mode;
  bool masked = false;  // measuring: as if every sparse layer had a gradient mask

  static float* unmapped() {
    alignas(64) static float nothing[16];
    return nothing;
  }
  bool measuring() const { return buffers.params == nullptr; }
  const format::OpRecord& op(uint32_t i) const { return plan.ops[i]; }

  Tensor tensor(uint32_t t) const {
    if (!measuring()) return plan_tensor(plan, buffers, t, rows, mode);
    const format::TensorRecord& record = plan.tensors[t];
    const BatchLayout layout = batch_layout(rows);
    return {unmapped(),
            layout.groups,
            static_cast<int32_t>(record.channels),
            static_cast<int32_t>(record.height),
            static_cast<int32_t>(record.width),
            layout.lanes};
  }
  Tensor tensor_or_null(uint32_t t, uint32_t shape_of) const {
    Tensor view = tensor(shape_of);
    view.data = t == format::kNone ? nullptr : tensor(t).data;
    return view;
  }
  float* value(uint32_t p) const {
    if (p == format::kNone) return nullptr;
    return measuring() ? unmapped() : buffers.params[p].value;
  }
  // Of params[slot] of the record's op, when it trains and does not rest.
  float* gradient(const format::BackwardRecord& record, uint32_t slot) const {
    if ((record.train_params >> slot & 1) == 0) return nullptr;
    if (measuring()) return unmapped();
    const ParamBuffers& param = buffers.params[plan.ops[record.op].params[slot]];
    return param.rests ? nullptr : param.gradient;
  }
  // Which entries of a sparse weight get a gradient; null: all.
  const uint8_t* selected(uint32_t p) const {
    static const uint8_t nothing = 0;
    if (measuring()) return masked ? &nothing : nullptr;
    return buffers.params[p].masked ? buffers.params[p].selection : nullptr;
  }
  bool skips_gradient(uint32_t p) const { return !measuring() && buffers.params[p].skip_gradient; }
  bool is_sparse(uint32_t p) const { return plan.params[p].storage == format::kStorageSparse; }
};

// The patterns of a sparse parameter without arrays: shape and blocks, and nnz at capacity.
SparsePattern pattern_shape(const format::ParamRecord& param);
SparsePattern transposed_pattern_shape(const format::ParamRecord& param);

// The second operand of an add or mul, as the kernels see it.
struct BroadcastOperand {
  const float* data;
  int64_t size, stride_g, stride_c, stride_h, stride_w, stride_l;
};
BroadcastOperand broadcast_operand(const Pass& pass, const format::OpRecord& op);

// One kernel call of an op, whatever its kernel: the two visits exist once, not once for each thing done with a call.
struct KernelCall {
  void (*run)(const KernelTable& kernels, const void* args, int part, int n_parts, void* scratch);
  size_t (*scratch_bytes)(const KernelTable& kernels, const void* args);
  const void* args;  // valid during the visit of this call
};
struct KernelVisitor {
  void* user;
  void (*visit)(void* user, const KernelCall& call);
};

// Names each kernel of the op's forward pass, in order.
void visit_forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor);
// The same for one backward record. A fused activation of a layer is undone in place on the output gradient first.
void visit_backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_EXECUTOR_OPS_H_
