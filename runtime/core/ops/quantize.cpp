// From floats to int8, with scale and zero point of the output.
// Never here: the choice of them (the exporter's).
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  return c.same_shape_as_input();
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::int8_quantize>(
      visitor, {pass.tensor(op.inputs[0]), pass.int8_tensor(op.output), pass.plan().tensors[op.output].scale});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.gives = format::kElementI8;
  rule.check = check;
  rule.forward = forward;
  return rule;
}

}  // namespace

const OpRule ops::quantize = rule();

}  // namespace edgecl
