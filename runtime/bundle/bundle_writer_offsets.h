// Assignment of arena offsets: host side of the planner.
// Never here: lifetimes (planner.h), records.
#ifndef EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_OFFSETS_H_
#define EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_OFFSETS_H_

#include <stdint.h>

#include <vector>

#include "runtime/core/planner.h"

namespace edgecl {

// One piece of memory with a lifetime. `offset` is the result.
struct ArenaItem {
  uint64_t size = 0;  // > 0
  Lifetime lifetime;
  uint64_t offset = 0;
};

// Gives every item an offset such that items alive at one step do not overlap; returns the arena size. Greedy: items in
// several fixed orders (by size, by size times duration, by first step), each into the smallest gap that fits between
// placed neighbours; the order with the smallest arena wins. Deterministic. O(n^2 log n).
uint64_t assign_offsets(std::vector<ArenaItem>* items);

// The largest sum of sizes alive at one step: no assignment can be smaller.
uint64_t arena_lower_bound(const std::vector<ArenaItem>& items);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_BUNDLE_BUNDLE_WRITER_OFFSETS_H_
