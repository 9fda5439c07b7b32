// From int8 to floats: the border to what trains.
// Never here: gradients; nothing before the border learns.
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
  emit<call::int8_dequantize>(
      visitor, {pass.int8_tensor(op.inputs[0]), pass.tensor(op.output), pass.plan().tensors[op.inputs[0]].scale});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.takes = format::kElementI8;
  rule.check = check;
  rule.forward = forward;
  return rule;
}

}  // namespace

const OpRule ops::dequantize = rule();

}  // namespace edgecl
