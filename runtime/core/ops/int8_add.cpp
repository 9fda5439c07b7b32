// Sum of two int8 tensors of one shape.
// Never here: the kernels' loops, broadcasting.
#include "runtime/core/ops/int8.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.same_shape_as_input());
  if (!same_shape(c.x(0), c.x(1)))
    return corrupt("OPS", c.index, "inputs", "expected two tensors of one shape, found others");
  EDGECL_RETURN_IF_FAILED(check_int8_clamp(c));
  EDGECL_RETURN_IF_FAILED(check_int8_param(c, 0, format::kElementI32, {2, 3, 0, 0}));
  const int32_t* constants = c.plan.dense_integers<int32_t>(c.op.params[0]);
  for (uint32_t i = 0; i < 3; i++) {
    EDGECL_RETURN_IF_FAILED(c.range("multiplier", constants[i], 0, INT32_MAX));
    EDGECL_RETURN_IF_FAILED(c.range("shift", constants[3 + i], -31, 0));
  }
  return Status();
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  Int8AddArgs args = {pass.int8_tensor(op.inputs[0]),
                      pass.int8_tensor(op.inputs[1]),
                      pass.int8_tensor(op.output),
                      {},
                      {},
                      op.i[0],
                      op.i[1]};
  const int32_t* constants = pass.integers<int32_t>(op.params[0]);
  for (uint32_t i = 0; i < 3; i++) {
    args.multiplier[i] = constants[i];
    args.shift[i] = constants[3 + i];
  }
  emit<call::int8_add>(visitor, args);
}

constexpr OpRule rule() {
  OpRule rule;
  rule.min_inputs = rule.max_inputs = 2;
  rule.max_params = 1;
  rule.takes = rule.gives = format::kElementI8;
  rule.check = check;
  rule.forward = forward;
  return rule;
}

}  // namespace

const OpRule ops::int8_add = rule();

}  // namespace edgecl
