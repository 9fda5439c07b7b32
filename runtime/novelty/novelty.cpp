// Finds the kind of a score.
// Never here: what one score computes (<kind>.cpp).
#include "runtime/novelty/novelty.h"

namespace edgecl {

const NoveltyKind* novelty_kind(uint32_t number) {
  switch (number) {
#define EDGECL_NOVELTY_CASE(constant, number, kind) \
  case constant:                                    \
    return &kind;
    EDGECL_NOVELTY(EDGECL_NOVELTY_CASE)
#undef EDGECL_NOVELTY_CASE
    default:
      return nullptr;
  }
}

}  // namespace edgecl
