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

const char kNames[][24] = {
// no pointers: each of them would cost a relocation
#define EDGECL_OP(constant, number, name) #name,
#include "runtime/core/ops/ops.def"
};

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
  return kind - 1 < format::kOpKinds ? kNames[kind - 1] : "?";
}

}  // namespace edgecl
