// Sums of many rows at once, whose 16 virtual lanes lie behind each other: 16 numbers a row, a `period` in all.
// Never here: kernels.
#ifndef EDGECL_KERNELS_SIMD_PERIODS_H_
#define EDGECL_KERNELS_SIMD_PERIODS_H_

#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {

// Cuts a plane into periods: body(offset in the plane, offset in the period, store).
template <class Body>
EDGECL_INLINE void for_periods(int64_t plane, int64_t period, Body body) {
  for (int64_t base = 0; base < plane; base += period)
    for_flat(0, plane - base < period ? plane - base : period,
             [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA { body(base + i, i, store); });
}

EDGECL_INLINE void clear(float* t, int64_t n) {
  memset(t, 0, static_cast<size_t>(n) * sizeof(float));
}

// `The tree` of every row at once; the sums are then t[0 .. lanes - 1].
EDGECL_INLINE void tree_of_rows(float* t, int64_t lanes) {
  for (int64_t s = 8; s; s >>= 1)
    store_flat(t, 0, s * lanes,
               [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(t + i) + vload(t + i + s * lanes); });
}

// Repeats the first n floats until `period` of them are there.
EDGECL_INLINE void repeat(float* t, int64_t n, int64_t period) {
  for (int64_t i = n; i < period; i++) t[i] = t[i - n];
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_PERIODS_H_
