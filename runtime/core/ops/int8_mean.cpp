// Mean over height and width of an int8 tensor.
// Never here: the kernels' loops.
#include "runtime/core/ops/int8.h"

namespace edgecl {
namespace {

constexpr int32_t kMostOffset = 1 << 24;

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.output_shape(c.x().channels, 1, 1));
  EDGECL_RETURN_IF_FAILED(c.range("i[0] (multiplier)", c.op.i[0], 0, INT32_MAX));
  EDGECL_RETURN_IF_FAILED(c.range("i[1] (shift)", c.op.i[1], -31, 30));
  const int64_t start = c.op.i[3], sum = int64_t{128} * c.x().height * c.x().width + (start < 0 ? -start : start);
  EDGECL_RETURN_IF_FAILED(c.range("i[1] (shift)", sum << (c.op.i[1] > 0 ? c.op.i[1] : 0), 0, kInt8Limit));
  return c.range("i[2] (offset)", c.op.i[2], -kMostOffset, kMostOffset);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  emit<call::int8_mean>(
      visitor, {pass.int8_tensor(op.inputs[0]), pass.int8_tensor(op.output), op.i[0], op.i[1], op.i[2], op.i[3]});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.takes = rule.gives = format::kElementI8;
  rule.check = check;
  rule.forward = forward;
  return rule;
}

}  // namespace

const OpRule ops::int8_mean = rule();

}  // namespace edgecl
