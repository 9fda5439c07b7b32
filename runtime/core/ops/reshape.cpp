// The same memory under another shape (flatten).
// Never here: a copy in the forward pass.
#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  const uint32_t root = c.x().alias == format::kNone ? c.op.inputs[0] : c.x().alias;
  if (c.y().alias != root)
    return corrupt("OPS", c.index, "output", "expected an alias of tensor %u, found %u", root, c.y().alias);
  return Status();  // equal sizes follow from the alias
}

// Gradients may have memory of their own, where another op adds to the same one.
void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const Tensor dy = pass.tensor(record.output_gradient);
  const Tensor dx = pass.tensor_or_null(record.input_gradient[0], op.inputs[0]);
  if (!pass.measuring() && dx.data == dy.data) return;
  emit<call::accumulate>(visitor, {dy.data, dx.data, dy.size(), (record.accumulate & 1) != 0});
}

constexpr OpRule rule() {
  OpRule rule;
  rule.gradient_in_place = true;
  rule.aliases_input = true;
  rule.check = check;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::reshape = rule();

}  // namespace edgecl
