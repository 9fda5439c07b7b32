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

#if defined(__AVX512F__)
// Inside quarters of a register first: permutations across quarters take longer.
EDGECL_INLINE void transpose_registers(vec* t) {
  __m512 u[16];
#pragma GCC unroll 4
  for (int g = 0; g < 16; g += 4) {
    const __m512 a = (__m512)t[g], b = (__m512)t[g + 1], c = (__m512)t[g + 2], d = (__m512)t[g + 3];
    const __m512d ab = (__m512d)_mm512_unpacklo_ps(a, b), cd = (__m512d)_mm512_unpacklo_ps(c, d),
                  ab_high = (__m512d)_mm512_unpackhi_ps(a, b), cd_high = (__m512d)_mm512_unpackhi_ps(c, d);
    u[g] = (__m512)_mm512_unpacklo_pd(ab, cd);
    u[g + 1] = (__m512)_mm512_unpackhi_pd(ab, cd);
    u[g + 2] = (__m512)_mm512_unpacklo_pd(ab_high, cd_high);
    u[g + 3] = (__m512)_mm512_unpackhi_pd(ab_high, cd_high);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) {
    const __m512 a = _mm512_shuffle_f32x4(u[i], u[4 + i], 0x88), b = _mm512_shuffle_f32x4(u[8 + i], u[12 + i], 0x88),
                 c = _mm512_shuffle_f32x4(u[i], u[4 + i], 0xdd), d = _mm512_shuffle_f32x4(u[8 + i], u[12 + i], 0xdd);
    t[i] = (vec)_mm512_shuffle_f32x4(a, b, 0x88);
    t[4 + i] = (vec)_mm512_shuffle_f32x4(c, d, 0x88);
    t[8 + i] = (vec)_mm512_shuffle_f32x4(a, b, 0xdd);
    t[12 + i] = (vec)_mm512_shuffle_f32x4(c, d, 0xdd);
  }
}
#else
EDGECL_INLINE void transpose_registers(vec* t) {
  if constexpr (kVec == 16) exchange_all<8 % kVec>(t);
  if constexpr (kVec >= 8) exchange_all<4 % kVec>(t);
  exchange_all<2>(t);
  exchange_all<1>(t);
}
#endif

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
