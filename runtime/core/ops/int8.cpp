// Checks that int8 operators share.
// Never here: checks of one operator.
#include "runtime/core/ops/int8.h"

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

}  // namespace edgecl
