// Facts that follow from a plan's records: sizes, attributes, multiply-add counts.
// Never here: checks, execution.
#include "runtime/core/plan.h"

#include "runtime/core/ops/op_rule.h"

namespace edgecl {

const format::BackwardRecord* Plan::backward_of(uint32_t op) const {
  uint32_t low = 0, high = backward.n;  // descending op
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (backward[middle].op > op) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < backward.n && backward[low].op == op ? &backward[low] : nullptr;
}

uint32_t Plan::added_gradients(uint32_t op) const {
  uint32_t low = 0, high = shared.n;  // ascending op
  while (low < high) {
    const uint32_t middle = low + (high - low) / 2;
    if (shared[middle].op < op) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < shared.n && shared[low].op == op ? shared[low].params : 0;
}

bool Plan::writes_gradient(uint32_t op, uint32_t slot) const {
  const format::BackwardRecord* record = backward_of(op);
  return record != nullptr && ((record->train_params & ~added_gradients(op)) >> slot & 1) != 0;
}

uint64_t param_size(const format::ParamRecord& param) {
  uint64_t size = 1;
  for (uint32_t i = 0; i < param.rank; i++) size *= param.dims[i];
  return size;
}

uint64_t param_stored(const format::ParamRecord& param) {
  return param.storage == format::kStorageSparse ? param.nnz : param_size(param);
}

uint64_t param_capacity(const format::ParamRecord& param) {
  return param.storage == format::kStorageSparse ? param.nnz_capacity : param_size(param);
}

uint64_t element_bytes(uint32_t dtype) {
  return dtype == format::kElementU8 || dtype == format::kElementI8 ? 1 : 4;
}

uint64_t tensor_row_floats(const format::TensorRecord& tensor) {
  return static_cast<uint64_t>(tensor.channels) * tensor.height * tensor.width;
}

ConvShape op_conv_shape(const format::OpRecord& op) {
  ConvShape shape;
  shape.kernel_h = op.kernel_h;
  shape.kernel_w = op.kernel_w;
  shape.stride_h = op.stride_h;
  shape.stride_w = op.stride_w;
  shape.dilation_h = op.dilation_h;
  shape.dilation_w = op.dilation_w;
  shape.pad_top = op.pad_top;
  shape.pad_left = op.pad_left;
  shape.pad_bottom = op.pad_bottom;
  shape.pad_right = op.pad_right;
  shape.groups = op.groups;
  return shape;
}

ActivationSpec op_activation(const format::OpRecord& op) {
  return {static_cast<Activation>(op.activation), op.activation_lo, op.activation_hi};
}

const char* op_shown_kind(const Plan& plan, uint32_t index) {
  const format::OpRecord& op = plan.ops[index];
  const OpRule& rule = *op_rule(op.kind);
  return rule.shown_kind != nullptr ? rule.shown_kind(plan, op) : op_kind_name(op.kind);
}

bool same_shape(const format::TensorRecord& a, const format::TensorRecord& b) {
  return a.channels == b.channels && a.height == b.height && a.width == b.width;
}

bool param_is_vector(const format::ParamRecord& param, uint32_t n) {
  return param.storage == format::kStorageDense && param.dtype == format::kElementF32 && param.rank == 1 &&
         param.dims[0] == n;
}

uint64_t op_macs_forward(const Plan& plan, uint32_t index, bool sparse) {
  const format::OpRecord& op = plan.ops[index];
  const OpRule& rule = *op_rule(op.kind);
  return rule.macs != nullptr ? rule.macs(plan, op, sparse) : 0;
}

uint64_t op_macs_backward(const Plan& plan, uint32_t index, bool sparse) {
  const format::BackwardRecord* record = plan.backward_of(index);
  if (record == nullptr) return 0;
  const uint64_t pass = op_macs_forward(plan, index, sparse);
  uint64_t passes = record->train_params & 1;
  for (uint32_t t : record->input_gradient) passes += t != format::kNone ? 1 : 0;
  return passes * pass;
}

uint64_t plan_macs_forward(const Plan& plan, bool sparse) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < plan.ops.n; i++) sum += op_macs_forward(plan, i, sparse);
  return sum;
}

uint64_t plan_macs_backward(const Plan& plan, bool sparse) {
  uint64_t sum = 0;
  for (uint32_t i = 0; i < plan.ops.n; i++) sum += op_macs_backward(plan, i, sparse);
  return sum;
}

}  // namespace edgecl
