// Counts of set bits in vectors. Intrinsics are allowed here: vector extensions know no byte shuffle and no bit count.
// x86-64-v4 does not include VPOPCNTDQ, so both x86 levels look nibbles up in a table in a register (Mula, Kurz & Lemire
// 2018, "Faster population counts using AVX2 instructions").
// Never here: loops over codes.
#ifndef EDGECL_KERNELS_SIMD_POPCOUNT_H_
#define EDGECL_KERNELS_SIMD_POPCOUNT_H_

#include "kernels/simd/bits.h"

namespace edgecl::EDGECL_LEVEL {

typedef uint8_t bvec __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));

constexpr int kByteCounts = 31;  // vectors of counts that a byte holds the sum of: 31 * 8 < 256

// Set bits of each byte.
EDGECL_INLINE bvec byte_counts(uvec x) {
#if defined(__AVX2__)
  const __m128i table = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const bvec nibble = (bvec){} + 15, low = (bvec)x & nibble, high = (bvec)(x >> 4) & nibble;
#if defined(__AVX512F__)
  const __m512i t = _mm512_broadcast_i32x4(table);
  return (bvec)_mm512_shuffle_epi8(t, (__m512i)low) + (bvec)_mm512_shuffle_epi8(t, (__m512i)high);
#else
  const __m256i t = _mm256_broadcastsi128_si256(table);
  return (bvec)_mm256_shuffle_epi8(t, (__m256i)low) + (bvec)_mm256_shuffle_epi8(t, (__m256i)high);
#endif
#elif defined(__aarch64__)
  return (bvec)vcntq_u8((uint8x16_t)x);
#else
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  return (bvec)((x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu);
#endif
}

// Sum of all bytes.
EDGECL_INLINE int32_t sum_of_bytes(bvec x) {
#if defined(__AVX512F__)
  return static_cast<int32_t>(_mm512_reduce_add_epi64(_mm512_sad_epu8((__m512i)x, _mm512_setzero_si512())));
#elif defined(__AVX2__)
  const __m256i s = _mm256_sad_epu8((__m256i)x, _mm256_setzero_si256());
  const __m128i t = _mm_add_epi64(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
  return _mm_cvtsi128_si32(t) + _mm_extract_epi32(t, 2);
#elif defined(__aarch64__)
  return vaddlvq_u8((uint8x16_t)x);
#else
  int32_t sum = 0;
  for (int i = 0; i < EDGECL_VECTOR_BYTES; i++) sum += x[i];
  return sum;
#endif
}

EDGECL_INLINE int32_t bits_set(uint64_t x) {
#if defined(__POPCNT__) || defined(__aarch64__)
  return __builtin_popcountll(x);
#else
  uvec v = {};
  v[0] = x;
  return sum_of_bytes(byte_counts(v));
#endif
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_POPCOUNT_H_
