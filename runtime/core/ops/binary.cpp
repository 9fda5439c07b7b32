// Sum and product of two tensors, or of a tensor and a constant; the second operand may be broadcast.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.same_shape_as_input());
  const format::TensorRecord& a = c.x();
  const uint32_t a_dims[3] = {a.channels, a.height, a.width};
  uint32_t b_dims[3];
  if (c.op.n_inputs == 2) {
    if (c.has_param(0))
      return corrupt("OPS", c.index, "params", "expected none beside a second input, found %u", c.op.params[0]);
    const format::TensorRecord& b = c.x(1);
    b_dims[0] = b.channels;
    b_dims[1] = b.height;
    b_dims[2] = b.width;
  } else {
    if (!c.has_param(0))
      return corrupt("OPS", c.index, "params", "expected a second input or a constant, found neither");
    const format::ParamRecord& constant = c.param(0);
    if (constant.storage != format::kStorageDense || constant.rank != 3) {
      return corrupt("OPS", c.index, "params", "expected a dense constant of rank 3, found rank %u", constant.rank);
    }
    for (int d = 0; d < 3; d++) b_dims[d] = constant.dims[d];
  }
  for (int d = 0; d < 3; d++) {
    if (b_dims[d] != a_dims[d] && b_dims[d] != 1) {
      return corrupt("OPS", c.index, "inputs", "expected %u or 1 in axis %d of the second operand, found %u", a_dims[d],
                     d, b_dims[d]);
    }
  }
  return Status();
}

// The second operand as the kernels see it.
struct Broadcast {
  const float* data;
  int64_t size, stride_g, stride_c, stride_h, stride_w, stride_l;
};

Broadcast second_operand(const Pass& pass, const format::OpRecord& op) {
  const format::TensorRecord& a = pass.plan().tensors[op.inputs[0]];
  uint32_t dims[3];
  Broadcast b;
  int64_t lanes = 1, groups = 1;
  if (op.n_inputs == 1) {
    for (int i = 0; i < 3; i++) dims[i] = pass.plan().params[op.params[0]].dims[i];
    b.data = pass.value(op.params[0]);
  } else {
    const Tensor view = pass.tensor(op.inputs[1]);
    dims[0] = static_cast<uint32_t>(view.channels);
    dims[1] = static_cast<uint32_t>(view.height);
    dims[2] = static_cast<uint32_t>(view.width);
    b.data = view.data;
    lanes = view.lanes;
    groups = view.groups;
  }
  // A dim of 1 beside a longer one is repeated (stride 0); equal dims keep their dense stride, so that "same shape" is
  // visible.
  b.stride_l = op.n_inputs == 1 ? 0 : 1;
  b.stride_w = dims[2] == 1 && a.width != 1 ? 0 : lanes;
  b.stride_h = dims[1] == 1 && a.height != 1 ? 0 : lanes * dims[2];
  b.stride_c = dims[0] == 1 && a.channels != 1 ? 0 : lanes * dims[2] * dims[1];
  const int64_t per_group = lanes * dims[2] * dims[1] * dims[0];
  b.stride_g = op.n_inputs == 1 ? 0 : per_group;
  b.size = per_group * groups;
  return b;
}

BinaryOp function_of(const format::OpRecord& op) {
  return op.kind == format::kOpAdd ? BinaryOp::kAdd : BinaryOp::kMul;
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const Broadcast b = second_operand(pass, op);
  emit<call::binary_forward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), b.data, b.stride_g, b.stride_c, b.stride_h,
                b.stride_w, b.stride_l, function_of(op), op_activation(op)});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const Broadcast b = second_operand(pass, op);
  float* db = nullptr;
  if (op.n_inputs == 1) {
    db = pass.gradient(record, 0);
  } else if (record.input_gradient[1] != format::kNone) {
    db = pass.tensor(record.input_gradient[1]).data;
  }
  emit<call::binary_backward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(record.output_gradient),
                pass.tensor_or_null(record.input_gradient[0], op.inputs[0]), b.data, db, b.size, b.stride_g, b.stride_c,
                b.stride_h, b.stride_w, b.stride_l, function_of(op), (record.accumulate & 1) != 0,
                op.n_inputs == 2 && (record.accumulate & 2) != 0});
}

constexpr OpRule rule(uint32_t backward_reads) {
  OpRule rule;
  rule.max_inputs = 2;
  rule.max_params = 1;
  rule.activation = OpActivation::kFused;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = backward_reads;
  return rule;
}

}  // namespace

const OpRule ops::add = rule(0);
const OpRule ops::mul = rule(3);  // the gradient of a factor is the other one

}  // namespace edgecl
