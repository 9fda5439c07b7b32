// Checks that int8 operators share.
// Never here: checks of one operator.
#include "runtime/core/ops/int8.h"

#include "runtime/core/ops/window.h"

namespace edgecl {

Status check_int8_param(const OpCheck& c, uint32_t slot, format::ElementType dtype, const Int8Dims& dims) {
  bool fits = c.has_param(slot) && c.param(slot).dtype == static_cast<uint32_t>(dtype) &&
              c.param(slot).storage == format::kStorageDense;
  for (uint32_t i = 0; fits && i < 4; i++) fits = c.param(slot).dims[i] == dims.d[i];
  if (fits) return Status();
  return corrupt("OPS", c.index, "params",
                 "expected %s of %llu x %llu x %llu x %llu in place %u, found another or none",
                 dtype == format::kElementI8 ? "int8" : "int32", u64(dims.d[0]), u64(dims.d[1]), u64(dims.d[2]),
                 u64(dims.d[3]), slot);
}

Status check_int8_clamp(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.range("i[0] (lo)", c.op.i[0], -128, 127));
  return c.range("i[1] (hi)", c.op.i[1], c.op.i[0], 127);
}

Status check_int8_pool(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_pool(c));
  EDGECL_RETURN_IF_FAILED(check_int8_clamp(c));
  EDGECL_RETURN_IF_FAILED(c.range("zero_point of the output", c.y().zero_point, c.x().zero_point, c.x().zero_point));
  if (c.x().scale == c.y().scale) return Status();
  return corrupt("OPS", c.index, "output", "expected the scale of the input, found another");
}

Int8PoolArgs int8_pool_args(const Pass& pass, const format::OpRecord& op) {
  return {pass.int8_tensor(op.inputs[0]), pass.int8_tensor(op.output), op_conv_shape(op), op.i[0], op.i[1]};
}

}  // namespace edgecl
