// A view of a row's elements, copied: slices, transposes, repetitions and their like.
// Never here: the kernels' loops.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.view_param(0, 2));
  const int32_t* view = c.plan.dense_integers<int32_t>(c.op.params[0]);
  const int64_t in = static_cast<int64_t>(tensor_row_floats(c.x())),
                out = static_cast<int64_t>(tensor_row_floats(c.y()));
  int64_t elements = 1, first = c.op.i[0], last = c.op.i[0];
  for (int k = 0; k < kViewRank; k++) {
    EDGECL_RETURN_IF_FAILED(c.range("size of the view", view[k], 1, out));
    EDGECL_RETURN_IF_FAILED(c.range("stride of the view", view[kViewRank + k], -in, in));
    elements *= view[k];  // both factors at most 2^24
    EDGECL_RETURN_IF_FAILED(c.range("elements of the view", elements, 1, out));
    const int64_t reach = static_cast<int64_t>(view[k] - 1) * view[kViewRank + k];
    (reach < 0 ? first : last) += reach;
  }
  EDGECL_RETURN_IF_FAILED(c.range("elements of the view", elements, out, out));
  EDGECL_RETURN_IF_FAILED(c.range("first element of the view", first, 0, in - 1));
  return c.range("last element of the view", last, 0, in - 1);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::strided_forward>(
      visitor, {pass.tensor(op.inputs[0]), pass.tensor(op.output), pass.integers<int32_t>(op.params[0]), op.i[0]});
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  emit<call::strided_backward>(
      visitor, {pass.tensor(record.output_gradient), pass.tensor_or_null(record.input_gradient[0], op.inputs[0]),
                pass.integers<int32_t>(op.params[0]), op.i[0], (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_params = 1;
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::strided = rule();

}  // namespace edgecl
