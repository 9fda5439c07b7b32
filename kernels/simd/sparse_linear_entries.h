// What the sparse linear weight gradient is made of: the sums of one bundle of entries, lists of selected entries.
// Never here: the walk over a pattern, the split of work.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_LINEAR_ENTRIES_H_
#define EDGECL_KERNELS_SIMD_SPARSE_LINEAR_ENTRIES_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_plan.h"

namespace edgecl::EDGECL_LEVEL {

// Lanes of a and b hold sets of kWidth; in the result the sets of a, folded to kWidth / 2 by t[i] += t[i + kWidth / 2],
// alternate with those of b. One blend and one shuffle: the halves of b are added the other way round.
template <int kWidth>
EDGECL_INLINE vec fold_between(vec a, vec b) {
  constexpr int half = kWidth / 2;
#define EDGECL_STAY(k) ((k) / half % 2 == 0 ? (k) : kVec + (k))
#define EDGECL_CROSS(k) ((k) / half % 2 == 0 ? (k) + half : kVec + (k) - half)
#if EDGECL_VECTOR_BYTES == 64
#define EDGECL_LANES(F) \
  F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7), F(8), F(9), F(10), F(11), F(12), F(13), F(14), F(15)
#elif EDGECL_VECTOR_BYTES == 32
#define EDGECL_LANES(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)
#else
#define EDGECL_LANES(F) F(0), F(1), F(2), F(3)
#endif
#if defined(__AVX512F__)
  // As a shuffle some compilers would put this on the port that the other one needs.
  constexpr __mmask16 odd_halves = kWidth == 16 ? 0xff00 : kWidth == 8 ? 0xf0f0 : kWidth == 4 ? 0xcccc : 0xaaaa;
  const vec stay = (vec)_mm512_mask_blend_ps(odd_halves, (__m512)a, (__m512)b);
#else
  const vec stay = __builtin_shufflevector(a, b, EDGECL_LANES(EDGECL_STAY));
#endif
  return stay + __builtin_shufflevector(a, b, EDGECL_LANES(EDGECL_CROSS));
#undef EDGECL_LANES
#undef EDGECL_CROSS
#undef EDGECL_STAY
}
// Where the set whose sum comes to lane i must be handed to tree_of_sets: the bits of i reversed. In one expression,
// for it must be a constant wherever a loop over i is unrolled.
constexpr int place_of_lane(int i) {
  const int place = (i & 1) * 8 + (i & 2) * 2 + (i & 4) / 2 + (i & 8) / 8;
  return place / (16 / kVec);
}
// Lane i: `the tree` of set t[place_of_lane(i)], whose 16 lanes were folded to kVec.
EDGECL_INLINE vec tree_of_sets(vec* t) {
#if EDGECL_VECTOR_BYTES == 64
  EDGECL_UNROLL
  for (int i = 0; i < 8; i++) t[i] = fold_between<16>(t[2 * i], t[2 * i + 1]);
#endif
#if EDGECL_VECTOR_BYTES >= 32
  EDGECL_UNROLL
  for (int i = 0; i < 4; i++) t[i] = fold_between<8>(t[2 * i], t[2 * i + 1]);
#endif
  EDGECL_UNROLL
  for (int i = 0; i < 2; i++) t[i] = fold_between<4>(t[2 * i], t[2 * i + 1]);
  return fold_between<2>(t[0], t[1]);
}
EDGECL_INLINE vec fold_parts(vec* acc) {
  EDGECL_UNROLL
  for (int s = kParts / 2; s > 0; s /= 2) EDGECL_UNROLL
  for (int i = 0; i < s; i++) acc[i] = acc[i] + acc[i + s];
  return acc[0];
}

// Lane i: the sum over the batch rows of step(acc, i, v), v = vectors of a channel in order. kVectors > 0: known when
// compiled, and at most one reduction block; else `vectors`.
template <int kVectors, class Step>
EDGECL_INLINE vec bundle_sum(int64_t vectors, Step step) {
  constexpr int64_t kBlock = kSparseGradientChunks * kParts;
  vec t[kVec];
  if constexpr (kVectors > 0) {
    static_assert(kVectors <= kBlock, "one reduction block");
    EDGECL_UNROLL
    for (int i = 0; i < kVec; i++) {
      vec acc[kParts];
      EDGECL_UNROLL
      for (int p = 0; p < kParts; p++) acc[p] = vzero();
      EDGECL_UNROLL
      for (int v = 0; v < kVectors; v++) acc[v % kParts] = step(acc[v % kParts], i, v);
      t[place_of_lane(i)] = fold_parts(acc);
    }
    return tree_of_sets(t);
  }
  vec sum = vzero();
  for (int64_t first = 0; first < vectors; first += kBlock) {
    const int64_t last = first + kBlock < vectors ? first + kBlock : vectors;
    for (int i = 0; i < kVec; i++) {
      vec acc[kParts];
      for (int p = 0; p < kParts; p++) acc[p] = vzero();
      int64_t v = first;
      for (; v + kParts <= last; v += kParts)
        for (int p = 0; p < kParts; p++) acc[p] = step(acc[p], i, v + p);
      for (int p = 0; p < kParts; p++)
        if (v + p < last) acc[p] = step(acc[p], i, v + p);
      t[place_of_lane(i)] = fold_parts(acc);
    }
    const vec block = tree_of_sets(t);
    sum = first == 0 ? block : sum + block;
  }
  return sum;
}

// Appends to `list` the numbers base + i of the flags i < n that are not 0; returns how many. Up to kVec - 1 more
// places of the list are written.
EDGECL_INLINE int append_selected(const uint8_t* flags, uint32_t base, int n, uint32_t* list) {
  int count = 0, i = 0;
#if defined(__AVX512F__)
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (; i + 16 <= n; i += 16) {
    const __m128i f = _mm_loadu_si128((const __m128i*)(flags + i));
    const __mmask16 chosen = _mm_test_epi8_mask(f, f);
    const __m512i numbers = _mm512_add_epi32(lane, _mm512_set1_epi32(static_cast<int>(base) + i));
    _mm512_storeu_si512(list + count, _mm512_maskz_compress_epi32(chosen, numbers));
    count += __builtin_popcount(chosen);
  }
#endif
  for (; i < n; i++) {
    list[count] = base + static_cast<uint32_t>(i);
    count += flags[i] != 0;
  }
  return count;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_LINEAR_ENTRIES_H_
