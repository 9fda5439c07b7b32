// What the plans of a level's kernels depend on: nothing else of an instruction set may enter a plan or a scratch size.
// Never here: vector types, intrinsics, plans.
#ifndef EDGECL_KERNELS_PLAN_VECTOR_SHAPE_H_
#define EDGECL_KERNELS_PLAN_VECTOR_SHAPE_H_

#include "kernels/kernels.h"

namespace edgecl::plan {

// Plans are compiled once, for the baseline instruction set, and serve every level on every machine: that is how a
// host knows the scratch memory of a board. An inline function here must be inlined always (kernels.h says why).
constexpr VectorShape kShapeReference = {1, 0, 0};
constexpr VectorShape kShapeV1 = {4, 8, 2};
constexpr VectorShape kShapeV3 = {8, 8, 2};
constexpr VectorShape kShapeV4 = {16, 16, 4};
constexpr VectorShape kShapeNeon = {4, 16, 4};

EDGECL_ALWAYS_INLINE inline int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}
EDGECL_ALWAYS_INLINE inline int limit(int64_t v, int64_t lo, int64_t hi) {
  return static_cast<int>(v < lo ? lo : v > hi ? hi : v);
}

// Numbers of batch rows from which on plans see classes: a plan is then that of the class's largest, so that there are
// few plans to measure. Four classes from one power of two to the next; a class begins behind a multiple of 16.
constexpr int64_t kExactRows = 160;
struct RowClass {
  int64_t low, high;  // both inclusive
};
RowClass row_class(int64_t rows);

// Counts the 64-byte aligned pieces that a part's scratch memory is made of; with a base it hands them out.
struct ScratchCursor {
  char* base;
  uint64_t used;
  template <class T>
  EDGECL_ALWAYS_INLINE T* take(int64_t n) {
    T* p = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += (static_cast<uint64_t>(n) * sizeof(T) + 63) / 64 * 64;
    return p;
  }
};

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_VECTOR_SHAPE_H_
