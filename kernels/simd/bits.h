// Between the bits of a word and lanes of int32: signs flipped where a bit is set, lanes compared into bits.
// Intrinsics are allowed here: vector extensions know neither masks nor movemask.
// Never here: loops over codes.
#ifndef EDGECL_KERNELS_SIMD_BITS_H_
#define EDGECL_KERNELS_SIMD_BITS_H_

#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

typedef uint32_t uvec32 __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));
typedef uint64_t uvec __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));

EDGECL_INLINE ivec iload(const int32_t* p) {
  ivec v;
  memcpy(&v, p, sizeof v);
  return v;
}
EDGECL_INLINE void istore(int32_t* p, ivec v) {
  memcpy(p, &v, sizeof v);
}
EDGECL_INLINE ivec iset(int32_t x) {
  return x - (ivec){};
}

// Lane i: bit `first` + i of a word alone. Folds to a constant where `first` is one.
EDGECL_INLINE ivec lane_bits(int first) {
  ivec v;
  EDGECL_UNROLL
  for (int i = 0; i < kVec; i++) v[i] = static_cast<int32_t>(1u << (first + i));
  return v;
}
// -1 in lane i where bit i of `bits` is set, else 0.
EDGECL_INLINE ivec lanes_of(uint32_t bits) {
  return (iset(static_cast<int32_t>(bits)) & lane_bits(0)) != 0;
}

// x, negated in the lanes where a bit of `bits` is set (its low kVec bits count).
EDGECL_INLINE ivec negate_where(ivec x, uint32_t bits) {
#if defined(__AVX512F__)
  return (ivec)_mm512_mask_sub_epi32((__m512i)x, (__mmask16)bits, _mm512_setzero_si512(), (__m512i)x);
#else
  const ivec m = lanes_of(bits);
  return (x ^ m) - m;
#endif
}

// A bit for each of 64 integers: whether it is positive; where it is 0, the bit of ties(), which is rarely asked.
template <class Ties>
EDGECL_INLINE uint64_t positive_lanes(const int32_t* x, Ties ties) {
  uint64_t positive = 0, zero = 0;
#if defined(__AVX2__)
  for (int i = 0; i < 64; i += kVec) {
    const ivec v = iload(x + i);
#if defined(__AVX512F__)
    positive |= static_cast<uint64_t>(_mm512_movepi32_mask((__m512i)v)) << i;
    zero |= static_cast<uint64_t>(_mm512_testn_epi32_mask((__m512i)v, (__m512i)v)) << i;
#else
    positive |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_ps((__m256)v))) << i;
    zero |= static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_ps((__m256)(v == 0)))) << i;
#endif
  }
  positive = ~(positive | zero);
#else
  // Each vector has places of its own in a half word, so that one sum over the lanes serves eight vectors.
  ivec is_zero = {};
  EDGECL_UNROLL
  for (int half = 0; half < 64; half += 32) {
    ivec set = {};
    EDGECL_UNROLL
    for (int i = 0; i < 32; i += kVec) {
      const ivec v = iload(x + half + i);
      set |= (v > 0) & lane_bits(i);
      is_zero |= v == 0;
    }
    positive |= static_cast<uint64_t>(static_cast<uint32_t>(set[0] | set[1] | set[2] | set[3])) << half;
  }
  if (is_zero[0] | is_zero[1] | is_zero[2] | is_zero[3])
    for (int i = 0; i < 64; i++) zero |= static_cast<uint64_t>(x[i] == 0) << i;
#endif
  return __builtin_expect(zero != 0, 0) ? positive | (zero & ties()) : positive;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_BITS_H_
