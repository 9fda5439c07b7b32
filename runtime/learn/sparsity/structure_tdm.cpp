// Task-aware dynamic masking: expand and shrink between tasks, shrink and expand within one.
// Never here: importance, random draws (structure.cpp).
// Wang, Zhan, Gong, Yuan, Niu, Jian, Ren, Ioannidis, Wang, Dy 2022, "SparCL: sparse continual learning on the edge";
// the schedule is that of the released code: a task starts 1 % of the layer above the target, each exchange replaces 1
// %.
#include "runtime/learn/sparsity/structure.h"

namespace edgecl {
namespace {

Exchange exchange(const format::RecipeRecord& s, uint32_t update, const StructureLayer& layer, uint32_t) {
  if (update > s.structure_updates) return {layer.target, layer.target};
  const uint32_t fewer = share_of(s.structure_intra, layer.size);
  return {layer.target > fewer ? layer.target - fewer : 1, layer.target};
}

uint32_t task_start(const format::RecipeRecord& s, const StructureLayer& layer, uint32_t) {
  return layer.target + share_of(s.structure_inter, layer.size);
}

uint64_t most(const format::RecipeRecord& s, uint64_t size, uint64_t target) {
  return target + share_of(s.structure_inter, size);
}

}  // namespace

const StructureRule kTdm = {exchange, task_start, most, true};

}  // namespace edgecl
