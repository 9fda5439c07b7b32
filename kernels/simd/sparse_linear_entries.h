// What the sparse linear weight gradient is made of: the sums of one bundle of entries, lists of selected entries.
// Never here: the walk over a pattern, the split of work.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_LINEAR_ENTRIES_H_
#define EDGECL_KERNELS_SIMD_SPARSE_LINEAR_ENTRIES_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_linear_pad.h"
#include "kernels/simd/sparse_registers.h"

namespace edgecl::EDGECL_LEVEL {

// Sums are made in vectors of at most 8 floats: the first addition of `the tree` is then one of two vectors.
typedef HalfLane::T SumVec;
constexpr int kSum = HalfLane::kFloats, kSumParts = 16 / kSum;

#if defined(__aarch64__)
// Lane i: `the tree` of set t[i], whose 16 lanes were folded to 4.
constexpr int place_of_lane(int i) {
  return i;
}
EDGECL_INLINE SumVec fold_pair(SumVec first, SumVec second) {
  float32x4_t a = (float32x4_t)first, b = (float32x4_t)second, cross = vextq_f32(a, b, 2);
  asm("" : "+w"(a), "+w"(cross));  // a register each: compilers otherwise copy one
  return (SumVec)vaddq_f32((float32x4_t)vcopyq_laneq_f64((float64x2_t)a, 1, (float64x2_t)b, 1), cross);
}
EDGECL_INLINE SumVec add_pairs(SumVec low, SumVec high) {
  return (SumVec)vpaddq_f32((float32x4_t)low, (float32x4_t)high);
}
EDGECL_INLINE SumVec tree_of_sets(const SumVec* t) {
  return add_pairs(fold_pair(t[0], t[1]), fold_pair(t[2], t[3]));
}
#else
// Lanes of a and b hold sets of kWidth; in the result the sets of a, folded to kWidth / 2 by t[i] += t[i + kWidth / 2],
// alternate with those of b. One blend and one shuffle: the halves of b are added the other way round.
template <int kWidth>
EDGECL_INLINE SumVec fold_between(SumVec a, SumVec b) {
  constexpr int half = kWidth / 2;
#define EDGECL_STAY(k) ((k) / half % 2 == 0 ? (k) : kSum + (k))
#define EDGECL_CROSS(k) ((k) / half % 2 == 0 ? (k) + half : kSum + (k) - half)
#if EDGECL_VECTOR_BYTES >= 32
#define EDGECL_LANES(F) F(0), F(1), F(2), F(3), F(4), F(5), F(6), F(7)
#else
#define EDGECL_LANES(F) F(0), F(1), F(2), F(3)
#endif
#if defined(__AVX2__)
  // As a shuffle some compilers would put this on the port that the other one needs.
  const SumVec stay = (SumVec)_mm256_blend_ps((__m256)a, (__m256)b, kWidth == 8 ? 0xf0 : kWidth == 4 ? 0xcc : 0xaa);
#else
  const SumVec stay = __builtin_shufflevector(a, b, EDGECL_LANES(EDGECL_STAY));
#endif
  return stay + __builtin_shufflevector(a, b, EDGECL_LANES(EDGECL_CROSS));
#undef EDGECL_LANES
#undef EDGECL_CROSS
#undef EDGECL_STAY
}
// Where the set whose sum comes to lane i must be handed to tree_of_sets: the bits of i reversed. In one expression,
// for it must be a constant wherever a loop over i is unrolled.
constexpr int place_of_lane(int i) {
  const int place = (i & 1) * 4 + (i & 2) + (i & 4) / 4;
  return place / (8 / kSum);
}
// Lane i: `the tree` of set t[place_of_lane(i)], whose 16 lanes were folded to kSum.
EDGECL_INLINE SumVec tree_of_sets(SumVec* t) {
#if EDGECL_VECTOR_BYTES >= 32
  EDGECL_UNROLL
  for (int i = 0; i < 4; i++) t[i] = fold_between<8>(t[2 * i], t[2 * i + 1]);
#endif
  EDGECL_UNROLL
  for (int i = 0; i < 2; i++) t[i] = fold_between<4>(t[2 * i], t[2 * i + 1]);
  return fold_between<2>(t[0], t[1]);
}
#endif
#if defined(__aarch64__)
constexpr int kShared = kSum;  // entries that share a load of dY where it is not in registers
// Entry by entry: compilers would load all of them and run out of registers.
EDGECL_INLINE void in_turn(const float*& p) {
  asm volatile("" : "+r"(p));
}
#else
constexpr int kShared = 1;
EDGECL_INLINE void in_turn(const float*&) {}
#endif
// Lane i: the sum over the batch rows, v = vectors of a channel in order, of what entry(i) points to: first(entry, v)
// begins a virtual lane, next(acc, entry, v) adds to it. Lanes begin without the +0 of the contract, which only a sum
// of nothing but -0 would show: that is made +0 in the end. kVectors > 0: known when compiled, and at most one
// reduction block; else `vectors`.
template <int kVectors, class Entry, class First, class Next>
EDGECL_INLINE SumVec bundle_sum(int64_t vectors, Entry entry, First first, Next next) {
  constexpr int64_t kBlock = kSparseGradientChunks * kSumParts;
  const SumVec zero = HalfLane::set(0.0f);
  SumVec t[kSum], sum = zero;
  if constexpr (kVectors > 0) {
    static_assert(kVectors <= kBlock, "one reduction block");
    constexpr int kUsed = kVectors < kSumParts ? kVectors : kSumParts;
    EDGECL_UNROLL
    for (int i = 0; i < kSum; i++) {
      SumVec acc[kSumParts];
      auto of = entry(i);
      in_turn(of);
      EDGECL_UNROLL
      for (int v = 0; v < kVectors; v++)
        acc[v % kSumParts] = v < kSumParts ? first(of, v) : next(acc[v % kSumParts], of, v);
      EDGECL_UNROLL
      for (int s = kSumParts / 2; s > 0; s /= 2) EDGECL_UNROLL
      for (int p = 0; p < s; p++)
        if (p + s < kUsed) acc[p] = acc[p] + acc[p + s];
      t[place_of_lane(i)] = acc[0];
    }
    return tree_of_sets(t) + zero;
  }
  for (int64_t begin = 0; begin < vectors; begin += kBlock) {
    const int64_t end = begin + kBlock < vectors ? begin + kBlock : vectors;
#if defined(__aarch64__)
    // Four entries share a load of dY: two loads a product would be as many again as the products.
    const auto e0 = entry(0), e1 = entry(1), e2 = entry(2), e3 = entry(3);
    SumVec a0 = zero, a1 = zero, a2 = zero, a3 = zero, b0 = zero, b1 = zero, b2 = zero, b3 = zero;
    SumVec c0 = zero, c1 = zero, c2 = zero, c3 = zero, d0 = zero, d1 = zero, d2 = zero, d3 = zero;
    int64_t v = begin;
    const auto step = [&](SumVec& a, SumVec& b, SumVec& c, SumVec& d, int64_t at) __attribute__((always_inline)) {
      a = next(a, e0, at);
      b = next(b, e1, at);
      c = next(c, e2, at);
      d = next(d, e3, at);
    };
    for (; v + 4 <= end; v += 4) {
      step(a0, b0, c0, d0, v);
      step(a1, b1, c1, d1, v + 1);
      step(a2, b2, c2, d2, v + 2);
      step(a3, b3, c3, d3, v + 3);
    }
    if (v < end) step(a0, b0, c0, d0, v);
    if (v + 1 < end) step(a1, b1, c1, d1, v + 1);
    if (v + 2 < end) step(a2, b2, c2, d2, v + 2);
    t[0] = (a0 + a2) + (a1 + a3);
    t[1] = (b0 + b2) + (b1 + b3);
    t[2] = (c0 + c2) + (c1 + c3);
    t[3] = (d0 + d2) + (d1 + d3);
#else
    for (int i = 0; i < kSum; i++) {
      SumVec acc[kSumParts];
      const auto of = entry(i);
      EDGECL_UNROLL
      for (int p = 0; p < kSumParts; p++) acc[p] = begin + p < end ? first(of, begin + p) : zero;
      int64_t v = begin + kSumParts;
      for (; v + kSumParts <= end; v += kSumParts) EDGECL_UNROLL
      for (int p = 0; p < kSumParts; p++) acc[p] = next(acc[p], of, v + p);
      EDGECL_UNROLL
      for (int p = 0; p + 1 < kSumParts; p++)
        if (v + p < end) acc[p] = next(acc[p], of, v + p);
      EDGECL_UNROLL
      for (int s = kSumParts / 2; s > 0; s /= 2) EDGECL_UNROLL
      for (int p = 0; p < s; p++) acc[p] = acc[p] + acc[p + s];
      t[place_of_lane(i)] = acc[0];
    }
#endif
    const SumVec block = tree_of_sets(t) + zero;
    sum = begin == 0 ? block : sum + block;
  }
  return sum;
}

#if defined(__AVX512F__)
// The flags of 16 entries, or of the `n` that are left.
EDGECL_INLINE __mmask16 chosen_entries(const uint8_t* flags, int n) {
  const __m128i f = _mm_maskz_loadu_epi8(n < 16 ? static_cast<__mmask16>((1u << n) - 1) : 0xffff, flags);
  return _mm_test_epi8_mask(f, f);
}
#endif
// Writes the indices of those of n entries whose flags are not 0 (null: of all) to `list`; returns how many. Up to 15
// more places are written.
EDGECL_INLINE int list_entries(const uint16_t* index, const uint8_t* flags, int n, uint16_t* list) {
  int count = 0;
#if defined(__AVX512F__)
  for (int i = 0; i < n && flags; i += 16) {
    const __mmask16 chosen = chosen_entries(flags + i, n - i);
    const __m512i wide = _mm512_maskz_cvtepu16_epi32(0xffff, _mm256_loadu_si256((const __m256i*)(index + i)));
    const __m256i narrow = _mm512_maskz_cvtepi32_epi16(0xffff, _mm512_maskz_compress_epi32(chosen, wide));
    _mm256_storeu_si256((__m256i*)(list + count), narrow);
    count += __builtin_popcount(chosen);
  }
  if (flags) return count;
#endif
  for (int i = 0; i < n; i++) {
    list[count] = index[i];
    count += flags == nullptr || flags[i] != 0;
  }
  return count;
}
// out[i] = the next of `sums` where flags[i] is not 0, else +0. Up to 16 more of the sums are read.
EDGECL_INLINE void spread_selected(const float* sums, const uint8_t* flags, int n, float* out) {
#if defined(__AVX512F__)
  for (int i = 0; i < n; i += 16) {
    const __mmask16 chosen = chosen_entries(flags + i, n - i);
    vstore_n(out + i, (vec)_mm512_maskz_expand_ps(chosen, _mm512_loadu_ps(sums)), n - i < 16 ? n - i : 16);
    sums += __builtin_popcount(chosen);
  }
#else
  for (int i = 0; i < n; i++) {  // by bits: a branch on the flag would be guessed wrong too often
    uint32_t bits;
    memcpy(&bits, sums, sizeof bits);
    bits &= flags[i] != 0 ? ~0u : 0u;
    memcpy(out + i, &bits, sizeof bits);
    sums += flags[i] != 0;
  }
#endif
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_LINEAR_ENTRIES_H_
