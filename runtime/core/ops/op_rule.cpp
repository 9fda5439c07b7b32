// The table of all operators.
// Never here: rules of single operators (ops/<name>.cpp).
#include "runtime/core/ops/op_rule.h"

#include "runtime/core/subset.h"

namespace edgecl {
namespace {

constexpr const OpRule* kRules[] = {
#define EDGECL_OP(constant, number, name) is_built(EDGECL_BUILT_OPS, #name) ? &ops::name : nullptr,
#include "runtime/core/ops/ops.def"
};

// One behind the other: no pointers, each of which would cost a relocation, and no padding.
const char kNames[] =
#define EDGECL_OP(constant, number, name) #name "\0"
#include "runtime/core/ops/ops.def"
    ;

constexpr uint32_t kNumbers[] = {
#define EDGECL_OP(constant, number, name) number,
#include "runtime/core/ops/ops.def"
};

constexpr bool ascending() {
  for (uint32_t i = 0; i < format::kOpKinds; i++) {
    if (kNumbers[i] != i + 1) return false;
  }
  return true;
}
static_assert(ascending(), "ops.def: numbers are 1, 2, 3, ... in order");

}  // namespace

const OpRule* op_rule(uint32_t kind) {
  return kind - 1 < format::kOpKinds ? kRules[kind - 1] : nullptr;
}

const char* op_kind_name(uint32_t kind) {
  if (kind - 1 >= format::kOpKinds) return "?";
  const char* name = kNames;
  for (uint32_t ends = kind - 1; ends > 0; name++) ends -= *name == '\0' ? 1 : 0;
  return name;
}

}  // namespace edgecl
