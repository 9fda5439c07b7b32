// Tensors as boxes in a larger one: padding with a constant, concatenation over any axis.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

// Whether the boxes of inputs i and j share an element of the grid.
bool overlap(const int32_t* boxes, uint32_t i, uint32_t j) {
  const int32_t *a = boxes + (1 + 2 * i) * kViewRank, *b = boxes + (1 + 2 * j) * kViewRank;
  for (int k = 0; k < kViewRank; k++) {
    if (a[k] + a[kViewRank + k] <= b[k] || b[k] + b[kViewRank + k] <= a[k]) return false;
  }
  return true;
}

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.view_param(0, 1 + 2 * c.op.n_inputs));
  const int32_t* boxes = c.plan.dense_integers<int32_t>(c.op.params[0]);
  const int64_t out = static_cast<int64_t>(tensor_row_floats(c.y()));
  int64_t cells = 1;
  for (int k = 0; k < kViewRank; k++) {
    EDGECL_RETURN_IF_FAILED(c.range("size of the grid", boxes[k], 1, out));
    cells *= boxes[k];  // both factors at most 2^24
    EDGECL_RETURN_IF_FAILED(c.range("elements of the grid", cells, 1, out));
  }
  EDGECL_RETURN_IF_FAILED(c.range("elements of the grid", cells, out, out));
  for (uint32_t i = 0; i < c.op.n_inputs; i++) {
    const int32_t* box = boxes + (1 + 2 * i) * kViewRank;
    int64_t elements = 1;
    for (int k = 0; k < kViewRank; k++) {
      EDGECL_RETURN_IF_FAILED(c.range("begin of a box", box[k], 0, boxes[k] - 1));
      EDGECL_RETURN_IF_FAILED(c.range("size of a box", box[kViewRank + k], 1, boxes[k] - box[k]));
      elements *= box[kViewRank + k];
    }
    const int64_t in = static_cast<int64_t>(tensor_row_floats(c.x(i)));
    EDGECL_RETURN_IF_FAILED(c.range("elements of a box", elements, in, in));
    for (uint32_t j = 0; j < i; j++) {
      if (overlap(boxes, i, j))
        return corrupt("OPS", c.index, "params", "expected boxes that do not overlap, found %u and %u that do", j, i);
    }
  }
  return Status();
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  PlaceForwardArgs args = {};
  for (uint32_t i = 0; i < op.n_inputs; i++) args.inputs[i] = pass.tensor(op.inputs[i]);
  args.n_inputs = static_cast<int32_t>(op.n_inputs);
  args.y = pass.tensor(op.output);
  args.boxes = pass.integers<int32_t>(op.params[0]);
  args.fill = op.activation_lo;
  emit<call::place_forward>(visitor, args);
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  PlaceBackwardArgs args = {};
  for (uint32_t i = 0; i < op.n_inputs; i++) {
    args.dinputs[i] = pass.tensor_or_null(record.input_gradient[i], op.inputs[i]);
    args.accumulate[i] = (record.accumulate >> i & 1) != 0;
  }
  args.n_inputs = static_cast<int32_t>(op.n_inputs);
  args.dy = pass.tensor(record.output_gradient);
  args.boxes = pass.integers<int32_t>(op.params[0]);
  emit<call::place_backward>(visitor, args);
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_inputs = kMaxInputs;
  rule.max_params = 1;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::place = rule();

}  // namespace edgecl
