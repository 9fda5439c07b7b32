// How far a sample lies from the domain that fits it best, in deviations from what is usual there: of several domains the
// smallest Mahalanobis distance (Lee et al. 2018), scaled by what held-out rows of that domain have.
// Never here: the fits themselves (runtime/adapt/routing.h), passes.
#include "runtime/novelty/novelty.h"

namespace edgecl {

const NoveltyKind kFitNovelty = {"fit", false, nullptr, nullptr, nullptr};

}  // namespace edgecl
