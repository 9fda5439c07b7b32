// What a build has of operators, heads, novelty scores and parts. CMake hands in lists of names, separated by blanks
// (EDGECL_OPS, EDGECL_HEADS, EDGECL_NOVELTY, EDGECL_PARTS; runtime/README.md); without a list a build has all.
// Never here: what any of them does.
#ifndef EDGECL_RUNTIME_CORE_SUBSET_H_
#define EDGECL_RUNTIME_CORE_SUBSET_H_

#include "kernels/built.h"

namespace edgecl {

constexpr bool kHasBatchNorm = is_built(EDGECL_BUILT_OPS, "batch_norm");
constexpr bool kHasGroupNorm = is_built(EDGECL_BUILT_OPS, "group_norm");
constexpr bool kHasStatistics = is_more_than(EDGECL_BUILT_HEADS, "gradient");  // heads that keep sums of embeddings
constexpr bool kHasNovelty = is_more_than(EDGECL_BUILT_NOVELTY, "none");
constexpr bool kHasSparse = is_built(EDGECL_BUILT_PARTS, "sparse");        // layers whose weights are stored sparsely
constexpr bool kHasStructure = is_built(EDGECL_BUILT_PARTS, "structure");  // structures that move, gradient masks
constexpr bool kHasDomains = is_built(EDGECL_BUILT_PARTS, "domains");      // domains and routing

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_SUBSET_H_
