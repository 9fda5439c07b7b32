// Transposes between [rows][columns] and [columns][rows] in memory.
// Never here: arithmetic.
#ifndef EDGECL_KERNELS_SIMD_TRANSPOSE_H_
#define EDGECL_KERNELS_SIMD_TRANSPOSE_H_

#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// One level of the butterfly: lanes of a and b exchanged in groups of kWidth, low halves to the first result.
template <int kWidth>
EDGECL_INLINE void exchange(vec* a, vec* b) {
  vec low, high;
#define EDGECL_LOW(k) (((k) / kWidth % 2 == 0) ? (k) : kVec + (k) - kWidth)
#define EDGECL_HIGH(k) (((k) / kWidth % 2 == 0) ? (k) + kWidth : kVec + (k))
#if EDGECL_VECTOR_BYTES == 64
#define EDGECL_EACH(F) \
  F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15)
#elif EDGECL_VECTOR_BYTES == 32
#define EDGECL_EACH(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)
#else
#define EDGECL_EACH(F) F(0), F(1), F(2), F(3)
#endif
  low = __builtin_shufflevector(*a, *b, EDGECL_EACH(EDGECL_LOW));
  high = __builtin_shufflevector(*a, *b, EDGECL_EACH(EDGECL_HIGH));
#undef EDGECL_LOW
#undef EDGECL_HIGH
#undef EDGECL_EACH
  *a = low;
  *b = high;
}
template <int kWidth>
EDGECL_INLINE void exchange_all(vec* t) {
#pragma GCC unroll 16
  for (int i = 0; i < kVec; i++)
    if (i / kWidth % 2 == 0) exchange<kWidth>(&t[i], &t[i + kWidth]);
}

EDGECL_INLINE void transpose_registers(vec* t) {
  if constexpr (kVec == 16) exchange_all<8 % kVec>(t);
  if constexpr (kVec >= 8) exchange_all<4 % kVec>(t);
  exchange_all<2>(t);
  exchange_all<1>(t);
}

// A kVec x kVec block.
EDGECL_INLINE void transpose_block(const float* from, int64_t from_row, float* to, int64_t to_row) {
  vec t[kVec];
#pragma GCC unroll 16
  for (int i = 0; i < kVec; i++) t[i] = vload(from + i * from_row);
  transpose_registers(t);
#pragma GCC unroll 16
  for (int i = 0; i < kVec; i++) vstore(to + i * to_row, t[i]);
}
// The same from rows that lie at from + offsets[i].
EDGECL_INLINE void transpose_rows(const float* from, const int64_t* offsets, float* to, int64_t to_row) {
  vec t[kVec];
#pragma GCC unroll 16
  for (int i = 0; i < kVec; i++) t[i] = vload(from + offsets[i]);
  transpose_registers(t);
#pragma GCC unroll 16
  for (int i = 0; i < kVec; i++) vstore(to + i * to_row, t[i]);
}

// to[c * to_row + r] = from[r * from_row + c].
EDGECL_INLINE void transpose(const float* from, int64_t from_row, int64_t rows, int64_t columns, float* to,
                             int64_t to_row) {
  int64_t r = 0;
  for (; r + kVec <= rows; r += kVec) {
    int64_t c = 0;
    for (; c + kVec <= columns; c += kVec)
      transpose_block(from + r * from_row + c, from_row, to + c * to_row + r, to_row);
    for (; c < columns; c++)
      for (int64_t i = r; i < r + kVec; i++) to[c * to_row + i] = from[i * from_row + c];
  }
  for (; r < rows; r++)
    for (int64_t c = 0; c < columns; c++) to[c * to_row + r] = from[r * from_row + c];
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_TRANSPOSE_H_
