// Largest value of each window of an int8 tensor.
// Never here: the kernels' loops, another scale for the output.
#include "runtime/core/ops/int8.h"

namespace edgecl {
namespace {

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  emit<call::int8_max_pool>(visitor, int8_pool_args(pass, pass.op(index)));
}

constexpr OpRule rule() {
  OpRule rule;
  rule.reads_windows = true;
  rule.takes = rule.gives = format::kElementI8;
  rule.check = check_int8_pool;
  rule.forward = forward;
  return rule;
}

}  // namespace

const OpRule ops::int8_max_pool = rule();

}  // namespace edgecl
