// Finds the kind of a head.
// Never here: what one kind does (<kind>_head.cpp).
#include "runtime/heads/head.h"

namespace edgecl {

const HeadKind* head_kind(uint32_t number) {
  switch (number) {
#define EDGECL_HEAD_CASE(constant, number, kind) \
  case constant:                                 \
    return &kind;
    EDGECL_HEADS(EDGECL_HEAD_CASE)
#undef EDGECL_HEAD_CASE
    default:
      return nullptr;
  }
}

}  // namespace edgecl
