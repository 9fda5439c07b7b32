// Transposition of a square of kVec x kVec floats in registers, by shuffles that stay within four lanes as long as they
// can. Never here: arithmetic, memory.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_TRANSPOSE_H_
#define EDGECL_KERNELS_SIMD_SPARSE_TRANSPOSE_H_

#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

#if EDGECL_VECTOR_BYTES == 64
EDGECL_INLINE vec low_singles(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
}
EDGECL_INLINE vec high_singles(vec a, vec b) {
  return __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
}
EDGECL_INLINE vec low_pairs(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
}
EDGECL_INLINE vec high_pairs(vec a, vec b) {
  return __builtin_shufflevector(a, b, 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
}
#elif EDGECL_VECTOR_BYTES == 32
EDGECL_INLINE vec low_singles(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 8, 1, 9, 4, 12, 5, 13);
}
EDGECL_INLINE vec high_singles(vec a, vec b) {
  return __builtin_shufflevector(a, b, 2, 10, 3, 11, 6, 14, 7, 15);
}
EDGECL_INLINE vec low_pairs(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
}
EDGECL_INLINE vec high_pairs(vec a, vec b) {
  return __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
}
#else
EDGECL_INLINE vec low_singles(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 4, 1, 5);
}
EDGECL_INLINE vec high_singles(vec a, vec b) {
  return __builtin_shufflevector(a, b, 2, 6, 3, 7);
}
EDGECL_INLINE vec low_pairs(vec a, vec b) {
  return __builtin_shufflevector(a, b, 0, 1, 4, 5);
}
EDGECL_INLINE vec high_pairs(vec a, vec b) {
  return __builtin_shufflevector(a, b, 2, 3, 6, 7);
}
#endif

// Four rows, within every group of four lanes: row q then holds lane 4 * group + q of the four.
EDGECL_INLINE void transpose_fours(vec* x) {
  const vec a = low_singles(x[0], x[1]), b = high_singles(x[0], x[1]), c = low_singles(x[2], x[3]),
            d = high_singles(x[2], x[3]);
  x[0] = low_pairs(a, c);
  x[1] = high_pairs(a, c);
  x[2] = low_pairs(b, d);
  x[3] = high_pairs(b, d);
}

// x[i][j] becomes x[j][i].
EDGECL_INLINE void transpose_registers(vec* x) {
#if EDGECL_VECTOR_BYTES == 64
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) transpose_fours(x + i);
#pragma GCC unroll 4
  for (int q = 0; q < 4; q++) {  // lane groups of rows q, 4 + q, 8 + q, 12 + q are a square of four by four
    const vec a = __builtin_shufflevector(x[q], x[4 + q], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    const vec b = __builtin_shufflevector(x[q], x[4 + q], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    const vec c = __builtin_shufflevector(x[8 + q], x[12 + q], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    const vec d =
        __builtin_shufflevector(x[8 + q], x[12 + q], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
    x[q] = __builtin_shufflevector(a, c, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    x[4 + q] = __builtin_shufflevector(a, c, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    x[8 + q] = __builtin_shufflevector(b, d, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    x[12 + q] = __builtin_shufflevector(b, d, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
  }
#elif EDGECL_VECTOR_BYTES == 32
  transpose_fours(x);
  transpose_fours(x + 4);
#pragma GCC unroll 4
  for (int q = 0; q < 4; q++) {
    const vec a = x[q], b = x[4 + q];
    x[q] = __builtin_shufflevector(a, b, 0, 1, 2, 3, 8, 9, 10, 11);
    x[4 + q] = __builtin_shufflevector(a, b, 4, 5, 6, 7, 12, 13, 14, 15);
  }
#else
  transpose_fours(x);
#endif
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_TRANSPOSE_H_
