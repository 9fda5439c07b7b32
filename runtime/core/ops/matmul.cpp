// Product of two tensors of a row: batches of matrices, any order of their axes, parts of the tensors.
// Never here: the kernel's loops; layers with weights.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

static_assert(kMatmulAxes == kViewRank, "the record's parameter has the shape of a view");

enum Line { kSizes, kOfA, kOfB, kOfY };  // of the parameter
constexpr int kRowAxis = 3, kColumnAxis = 4, kSumAxis = 5;

// The strides of one operand: inside its tensor, and no element met twice but along axes of stride 0.
Status check_operand(const OpCheck& c, const int32_t* view, Line line, int64_t offset, int without, int64_t elements) {
  const int32_t *size = view, *stride = view + line * kViewRank;
  EDGECL_RETURN_IF_FAILED(c.range("stride of the product (an axis that the operand has not)", stride[without], 0, 0));
  int64_t last = offset;
  for (int k = 0; k < kViewRank; k++) {
    EDGECL_RETURN_IF_FAILED(c.range("stride of the product", stride[k], 0, elements));
    last += static_cast<int64_t>(size[k] - 1) * stride[k];  // sizes and strides below 2^25
  }
  EDGECL_RETURN_IF_FAILED(c.range("first element of the product", offset, 0, elements - 1));
  EDGECL_RETURN_IF_FAILED(c.range("last element of the product", last, 0, elements - 1));
  for (int k = 0; k < kViewRank; k++) {
    if (size[k] == 1 || stride[k] == 0) continue;
    int64_t reach = 0;  // of the axes with smaller strides, and of those before with the same
    for (int j = 0; j < kViewRank; j++) {
      if (j != k && (stride[j] < stride[k] || (stride[j] == stride[k] && j < k)))
        reach += static_cast<int64_t>(size[j] - 1) * stride[j];
    }
    EDGECL_RETURN_IF_FAILED(c.range("stride of the product (elements that differ)", stride[k], reach + 1, elements));
  }
  return Status();
}

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.view_param(0, 4));
  const int32_t* view = c.plan.dense_integers<int32_t>(c.op.params[0]);
  const int64_t a = static_cast<int64_t>(tensor_row_floats(c.x(0))),
                b = static_cast<int64_t>(tensor_row_floats(c.x(1))), y = static_cast<int64_t>(tensor_row_floats(c.y()));
  int64_t outputs = 1;
  for (int k = 0; k < kViewRank; k++) {
    EDGECL_RETURN_IF_FAILED(c.range("size of the product", view[k], 1, k == kSumAxis ? (a < b ? a : b) : y));
    if (k == kSumAxis) continue;
    outputs *= view[k];  // both factors at most 2^24
    EDGECL_RETURN_IF_FAILED(c.range("elements of the product", outputs, 1, y));
    if (view[k] > 1)
      EDGECL_RETURN_IF_FAILED(c.range("stride of the product's output", view[kOfY * kViewRank + k], 1, y));
  }
  EDGECL_RETURN_IF_FAILED(c.range("elements of the product", outputs, y, y));
  EDGECL_RETURN_IF_FAILED(check_operand(c, view, kOfA, c.op.i[0], kColumnAxis, a));
  EDGECL_RETURN_IF_FAILED(check_operand(c, view, kOfB, c.op.i[1], kRowAxis, b));
  EDGECL_RETURN_IF_FAILED(check_operand(c, view, kOfY, 0, kSumAxis, y));
  if (c.op.activation_lo != 0) return Status();
  return corrupt("OPS", c.index, "activation_lo (factor)", "expected a number other than 0, found 0");
}

uint64_t macs(const Plan& plan, const format::OpRecord& op, bool) {
  const int32_t* view = plan.dense_integers<int32_t>(op.params[0]);
  return tensor_row_floats(plan.tensors[op.output]) * static_cast<uint64_t>(view[kSumAxis]);
}

struct Operand {
  Tensor tensor;
  Line line;
  int32_t offset;
};
MatmulArgs product(const int32_t* view, const Operand& a, const Operand& b, const Operand& y, float factor,
                   bool accumulate) {
  return {a.tensor,
          b.tensor,
          y.tensor,
          view,
          view + a.line * kViewRank,
          view + b.line * kViewRank,
          view + y.line * kViewRank,
          a.offset,
          b.offset,
          y.offset,
          factor,
          accumulate};
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const Operand a = {pass.tensor(op.inputs[0]), kOfA, op.i[0]}, b = {pass.tensor(op.inputs[1]), kOfB, op.i[1]},
                y = {pass.tensor(op.output), kOfY, 0};
  emit<call::matmul>(visitor, product(pass.integers<int32_t>(op.params[0]), a, b, y, op.activation_lo, false));
}

// The gradient of the operand `to`, from that of the output and the other operand. What the product does not read gets 0.
void gradient(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor, uint32_t slot) {
  if (record.input_gradient[slot] == format::kNone) return;
  const format::OpRecord& op = pass.op(record.op);
  const Operand a = {pass.tensor(op.inputs[0]), kOfA, op.i[0]}, b = {pass.tensor(op.inputs[1]), kOfB, op.i[1]},
                dy = {pass.tensor(record.output_gradient), kOfY, 0};
  const Operand to = {pass.tensor(record.input_gradient[slot]), slot == 0 ? kOfA : kOfB, op.i[slot]};
  const int32_t* const sizes = pass.plan().dense_integers<int32_t>(op.params[0]);
  bool accumulate = (record.accumulate >> slot & 1) != 0;
  uint64_t read = 1;
  for (int k = 0; k < kViewRank; k++) {
    if (sizes[to.line * kViewRank + k] != 0) read *= static_cast<uint64_t>(sizes[k]);
  }
  if (!accumulate && read != tensor_row_floats(pass.plan().tensors[op.inputs[slot]])) {
    PlaceForwardArgs zeros = {};
    zeros.y = to.tensor;
    emit<call::place_forward>(visitor, zeros);
    accumulate = true;
  }
  const int32_t* const view = pass.integers<int32_t>(op.params[0]);
  emit<call::matmul>(visitor, slot == 0 ? product(view, dy, b, to, op.activation_lo, accumulate)
                                        : product(view, a, dy, to, op.activation_lo, accumulate));
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  gradient(pass, record, visitor, 0);
  gradient(pass, record, visitor, 1);
}

constexpr OpRule rule() {
  OpRule rule;
  rule.min_inputs = rule.max_inputs = 2;
  rule.max_params = 1;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.backward_reads = 3;
  rule.macs = macs;
  return rule;
}

}  // namespace

const OpRule ops::matmul = rule();

}  // namespace edgecl
