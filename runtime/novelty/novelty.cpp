// Finds the kind of a score.
// Never here: what one score computes (<kind>.cpp).
#include "runtime/novelty/novelty.h"

#include "runtime/core/recipe.h"

namespace edgecl {

const NoveltyKind* novelty_kind(uint32_t number_of_score) {
  switch (number_of_score) {
#define EDGECL_NOVELTY_CASE(constant, number, kind) \
  case constant:                                    \
    return is_built(EDGECL_BUILT_NOVELTY, kNoveltyNames[number]) ? &kind : nullptr;
    EDGECL_NOVELTY(EDGECL_NOVELTY_CASE)
#undef EDGECL_NOVELTY_CASE
    default:
      return nullptr;
  }
}

}  // namespace edgecl
