// The register tile of int8 products: some positions by some channels, in the form that a level's instructions have.
// Never here: windows, packing, requantisation.
#ifndef EDGECL_KERNELS_SIMD_INT8_TILE_H_
#define EDGECL_KERNELS_SIMD_INT8_TILE_H_

#include "kernels/simd/int8.h"

namespace edgecl::EDGECL_LEVEL {

// A packed window is a row of PanelValue; kPanelOffset was added to each value, so a sum is too large by that often the
// sum of the weights. An accumulator holds `kSums` partial sums of each of its channels.
//  * dot products of bytes (VNNI: unsigned by signed; Arm: signed by signed);
//  * x86 without them: 16-bit values, whose products are added in pairs;
//  * Arm without them: two products of bytes fit into 16 bits, and are added in pairs.
#if defined(__AVX512VNNI__)
typedef uint8_t PanelValue;
constexpr int kPanelOffset = 128, kSums = 1, kTileRows = 12, kTileVectors = 2, kStepGroups = 1;
#elif defined(__AVX512F__)
typedef int16_t PanelValue;
constexpr int kPanelOffset = 0, kSums = 2, kTileRows = 12, kTileVectors = 2, kStepGroups = 1;
#elif defined(__AVX2__)
typedef int16_t PanelValue;
constexpr int kPanelOffset = 0, kSums = 2, kTileRows = 6, kTileVectors = 2, kStepGroups = 1;
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int8_t PanelValue;
constexpr int kPanelOffset = 0, kSums = 1, kTileRows = 6, kTileVectors = 4, kStepGroups = 1;
#elif defined(__aarch64__)
typedef int8_t PanelValue;
constexpr int kPanelOffset = 0, kSums = 2, kTileRows = 4, kTileVectors = 4, kStepGroups = 2;
#else
typedef int8_t PanelValue;
constexpr int kPanelOffset = 0, kSums = 1, kTileRows = 1, kTileVectors = 4, kStepGroups = 1;
#endif
constexpr int kVectorChannels = kVec / kSums;  // of an accumulator

// The groups of one step of one window, in every channel's place of a register.
EDGECL_INLINE ivec panel_step(const PanelValue* p) {
#if defined(__AVX512F__) && !defined(__AVX512VNNI__)
  int64_t four;
  memcpy(&four, p, sizeof four);
  return (ivec)_mm512_set1_epi64(four);
#elif defined(__AVX2__) && !defined(__AVX512VNNI__)
  int64_t four;
  memcpy(&four, p, sizeof four);
  return (ivec)_mm256_set1_epi64x(four);
#elif defined(__aarch64__) && !defined(__ARM_FEATURE_DOTPROD)
  const int32x4_t both = vcombine_s32(vreinterpret_s32_s8(vld1_s8(p)), vdup_n_s32(0));
  return (ivec)vzip1q_s32(both, both);
#else
  int32_t four;
  memcpy(&four, p, sizeof four);
  return iset(four);
#endif
}

// The weights of kVectorChannels channels for a step; `whole` false: for its first group alone.
EDGECL_INLINE ivec weight_step(const int8_t* p, [[maybe_unused]] bool whole) {
#if defined(__AVX512F__) && !defined(__AVX512VNNI__)
  return (ivec)_mm512_maskz_cvtepi8_epi16(0xffffffff, _mm256_loadu_si256((const __m256i*)p));
#elif defined(__AVX2__) && !defined(__AVX512VNNI__)
  return (ivec)_mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i*)p));
#elif defined(__aarch64__) && !defined(__ARM_FEATURE_DOTPROD)
  const int64x2_t first = vcombine_s64(vreinterpret_s64_s8(vld1_s8(p)), vdup_n_s64(0));
  if (!whole) return (ivec)first;
  return (ivec)vld1q_lane_s64(reinterpret_cast<const int64_t*>(p + kInt8Channels * kInt8Group), first, 1);
#else
  return iload(reinterpret_cast<const int32_t*>(p));
#endif
}

// acc + x * w over a step.
EDGECL_INLINE ivec dot(ivec acc, ivec w, ivec x) {
#if defined(__AVX2__)
  return column_dot(acc, x, w);  // the same instructions
#elif defined(__ARM_FEATURE_DOTPROD)
  return (ivec)vdotq_s32((int32x4_t)acc, (int8x16_t)w, (int8x16_t)x);
#elif defined(__aarch64__)
  const int16x8_t first = vmull_s8(vget_low_s8((int8x16_t)w), vget_low_s8((int8x16_t)x));
  return (ivec)vpadalq_s16((int32x4_t)acc, vmlal_high_s8(first, (int8x16_t)w, (int8x16_t)x));
#else
  int8_t ws[kVec * 4], xs[kVec * 4];
  memcpy(ws, &w, sizeof ws);
  memcpy(xs, &x, sizeof xs);
  for (int i = 0; i < kVec * 4; i++) acc[i / 4] += ws[i] * xs[i];
  return acc;
#endif
}

// Products of one row are begun side by side, but not those of all rows: these would push sums out of registers.
template <int kVectors>
EDGECL_INLINE void end_row([[maybe_unused]] ivec (&acc)[kVectors]) {
#if defined(__aarch64__) && !defined(__ARM_FEATURE_DOTPROD)
  for (int v = 0; v < kVectors; v++) __asm__ volatile("" : "+w"(acc[v]));
#endif
}

// The sums of kVec channels of one accumulator, or of two that hold partial sums.
EDGECL_INLINE ivec whole_sums(const ivec* acc) {
#if defined(__AVX512VNNI__)
  return acc[0];
#elif defined(__AVX512F__)
  const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  return add_wrapping((ivec)_mm512_permutex2var_epi32((__m512i)acc[0], even, (__m512i)acc[1]),
                      (ivec)_mm512_permutex2var_epi32((__m512i)acc[0], odd, (__m512i)acc[1]));
#elif defined(__AVX2__)
  return (ivec)_mm256_permute4x64_epi64(_mm256_hadd_epi32((__m256i)acc[0], (__m256i)acc[1]), 0xd8);
#elif defined(__aarch64__) && !defined(__ARM_FEATURE_DOTPROD)
  return (ivec)vpaddq_s32((int32x4_t)acc[0], (int32x4_t)acc[1]);
#else
  return acc[0];
#endif
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_INT8_TILE_H_
