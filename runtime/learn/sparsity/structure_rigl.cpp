// RigL: the smallest weights make room where the dense gradient is largest.
// Never here: dense gradients (growth_scores.cpp).
// Evci, Gale, Menick, Castro, Elsen 2020, "Rigging the lottery: making all tickets winners". New weights begin at 0;
// positions dropped in the same update are not candidates.
#include "runtime/learn/sparsity/structure.h"

namespace edgecl {

const StructureRule kRigl = {replace_share, keep_structure, keep_target, false};

}  // namespace edgecl
