// `The tree` of the arithmetic contract for 16 sums at once: a transposition whose every step is one of the tree's
// additions. Never here: any other order of summation.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_REDUCE_H_
#define EDGECL_KERNELS_SIMD_SPARSE_REDUCE_H_

#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// add_distanceD(a, b): each lane of a, then of b, plus the lane D above it; what the next distance needs lies together.
#if EDGECL_VECTOR_BYTES == 64
EDGECL_INLINE vec add_distance8(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
         __builtin_shufflevector(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
EDGECL_INLINE vec add_distance4(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
EDGECL_INLINE vec add_distance2(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
         __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
EDGECL_INLINE vec add_distance1(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30) +
         __builtin_shufflevector(a, b, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31);
}
#elif EDGECL_VECTOR_BYTES == 32
EDGECL_INLINE vec add_distance4(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11) +
         __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
}
EDGECL_INLINE vec add_distance2(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13) +
         __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
}
EDGECL_INLINE vec add_distance1(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14) +
         __builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
}
#else
EDGECL_INLINE vec add_distance2(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
}
EDGECL_INLINE vec add_distance1(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 2, 4, 6) + __builtin_shufflevector(a, b, 1, 3, 5, 7);
}
#endif

// Lane i of the result = tree16 of the 16 floats at rows + 16 * i.
EDGECL_INLINE vec16 tree16_rows(const float* rows) {
  vec16 sums;
#if EDGECL_VECTOR_BYTES == 64
  // The steps leave the sum of the operand number 4 * i + j in lane 4 * j + i: so operands are taken in that order.
  vec a[16];
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++) a[4 * i + j] = vload(rows + 16 * (4 * j + i));
  for (int i = 0; i < 8; i++) a[i] = add_distance8(a[2 * i], a[2 * i + 1]);
  for (int i = 0; i < 4; i++) a[i] = add_distance4(a[2 * i], a[2 * i + 1]);
  for (int i = 0; i < 2; i++) a[i] = add_distance2(a[2 * i], a[2 * i + 1]);
  sums.v[0] = add_distance1(a[0], a[1]);
#elif EDGECL_VECTOR_BYTES == 32
  for (int half = 0; half < 2; half++) {
    vec a[8];
    for (int i = 0; i < 4; i++)
      for (int j = 0; j < 2; j++) {
        const float* row = rows + 16 * (8 * half + 4 * j + i);
        a[2 * i + j] = vload(row) + vload(row + 8);
      }
    for (int i = 0; i < 4; i++) a[i] = add_distance4(a[2 * i], a[2 * i + 1]);
    for (int i = 0; i < 2; i++) a[i] = add_distance2(a[2 * i], a[2 * i + 1]);
    sums.v[half] = add_distance1(a[0], a[1]);
  }
#else
  for (int quarter = 0; quarter < 4; quarter++) {
    vec a[4];
    for (int i = 0; i < 4; i++) {
      const float* row = rows + 16 * (4 * quarter + i);
      a[i] = (vload(row) + vload(row + 8)) + (vload(row + 4) + vload(row + 12));
    }
    sums.v[quarter] = add_distance1(add_distance2(a[0], a[1]), add_distance2(a[2], a[3]));
  }
#endif
  return sums;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_REDUCE_H_
