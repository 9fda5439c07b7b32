// Sparse evolutionary training: the smallest weights make room for random new ones.
// Never here: random draws (structure.cpp).
// Mocanu, Mocanu, Stone, Nguyen, Gibescu, Liotta 2018, "Scalable training of artificial neural networks with adaptive
// sparse connectivity inspired by network science".
#include "runtime/learn/sparsity/structure.h"

namespace edgecl {

const StructureRule kSet = {replace_share, keep_structure, keep_target, false};

}  // namespace edgecl
