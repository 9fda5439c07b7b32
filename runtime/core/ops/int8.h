// Checks that int8 operators share.
// Never here: kernels, checks of one operator.
#ifndef EDGECL_RUNTIME_CORE_OPS_INT8_H_
#define EDGECL_RUNTIME_CORE_OPS_INT8_H_

#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {

struct Int8Dims {
  uint64_t d[4];  // 0 behind the rank
};
// A dense parameter of this type and these dims in place `slot`.
Status check_int8_param(const OpCheck& c, uint32_t slot, format::ElementType dtype, const Int8Dims& dims);
// i[0] and i[1], between which the output is clamped.
Status check_int8_clamp(const OpCheck& c);
// A pool over windows: geometry, bounds, and one scale and zero point for both tensors.
Status check_int8_pool(const OpCheck& c);
Int8PoolArgs int8_pool_args(const Pass& pass, const format::OpRecord& op);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_INT8_H_
