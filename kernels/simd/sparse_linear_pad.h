// The batch of a sparse linear layer as whole vectors: [channel][vector], where it does not lie so; vectors of 8 floats
// where the native one is longer.
// Never here: kernels, patterns.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_LINEAR_PAD_H_
#define EDGECL_KERNELS_SIMD_SPARSE_LINEAR_PAD_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// A vector of batch rows: the native one, or a half of it where that has 16 floats.
struct WholeLane {
  typedef vec T;
  static constexpr int kFloats = kVec;
  EDGECL_INLINE T set(float x) { return vset(x); }
  EDGECL_INLINE T load(const float* p) { return vload(p); }
  EDGECL_INLINE void store(float* p, T v) { vstore(p, v); }
  EDGECL_INLINE T load_n(const float* p, int n) { return vload_n(p, n); }
  EDGECL_INLINE void store_n(float* p, T v, int n) { vstore_n(p, v, n); }
  EDGECL_INLINE T fma(T a, T b, T c) { return vfma(a, b, c); }
  EDGECL_INLINE T half_of(vec v) { return v; }
#if defined(__AVX2__)
  // Four numbers by one load, and all lanes one of them. Where there is no instruction for it, loads do better.
  static constexpr bool kLanesOfFour = true;
  typedef __m128 Four;
  EDGECL_INLINE Four load_four(const float* p) { return _mm_loadu_ps(p); }
  EDGECL_INLINE T lane_of(Four w, int j) {
#if defined(__AVX512F__)
    return (T)_mm512_maskz_permutexvar_ps(0xffff, _mm512_set1_epi32(j), _mm512_castps128_ps512(w));
#else
    return (T)_mm256_permutevar8x32_ps(_mm256_castps128_ps256(w), _mm256_set1_epi32(j));
#endif
  }
#elif defined(__aarch64__)
  // The multiply-add takes one lane of a register by itself.
  static constexpr bool kLanesOfFour = true;
  typedef float32x4_t Four;
  struct LaneOfFour {
    Four four;
    int lane;  // a constant once loops are unrolled
  };
  EDGECL_INLINE Four load_four(const float* p) { return vld1q_f32(p); }
  EDGECL_INLINE LaneOfFour lane_of(Four w, int j) { return {w, j}; }
  EDGECL_INLINE T fma(LaneOfFour a, T b, T c) {
    const float32x4_t x = (float32x4_t)b, sum = (float32x4_t)c;
    switch (a.lane) {
      case 0:
        return (T)vfmaq_laneq_f32(sum, x, a.four, 0);
      case 1:
        return (T)vfmaq_laneq_f32(sum, x, a.four, 1);
      case 2:
        return (T)vfmaq_laneq_f32(sum, x, a.four, 2);
      default:
        return (T)vfmaq_laneq_f32(sum, x, a.four, 3);
    }
  }
#else
  static constexpr bool kLanesOfFour = false;
#endif
};
#if defined(__AVX512F__)
struct HalfLane {
  typedef float T __attribute__((vector_size(32), may_alias));
  static constexpr int kFloats = 8;
  EDGECL_INLINE T set(float x) { return x - (T){}; }
  EDGECL_INLINE T load(const float* p) {
    T v;
    memcpy(&v, p, sizeof v);
    return v;
  }
  EDGECL_INLINE void store(float* p, T v) { memcpy(p, &v, sizeof v); }
  EDGECL_INLINE T load_n(const float* p, int n) { return (T)_mm256_maskz_loadu_ps((__mmask8)((1u << n) - 1u), p); }
  EDGECL_INLINE void store_n(float* p, T v, int n) { _mm256_mask_storeu_ps(p, (__mmask8)((1u << n) - 1u), (__m256)v); }
  EDGECL_INLINE T half_of(vec v) { return __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7); }
  EDGECL_INLINE T fma(T a, T b, T c) { return (T)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
};
#else
typedef WholeLane HalfLane;
#endif

// Vectors of one group of a channel; the last is padded with +0.
template <class Lane>
EDGECL_INLINE int64_t lane_vectors(const Tensor& t) {
  return (t.lanes + Lane::kFloats - 1) / Lane::kFloats;
}
// Writes the vectors of channels [begin, end) that start at lanes first, first + kFloats, .. (n of them; lanes of all
// groups numbered through, each group in whole vectors) as [channel][n][kFloats].
template <class Lane>
static inline void pad_channels(const Tensor& t, int64_t begin, int64_t end, int64_t first, int64_t n, float* out) {
  constexpr int kFloats = Lane::kFloats;
  const int64_t lanes = t.lanes, per_group = lane_vectors<Lane>(t);
  for (int64_t v = first / kFloats; n > 0 && v < first / kFloats + n; v++, out += kFloats) {
    const int64_t l = v % per_group * kFloats;
    const float* from = t.data + v / per_group * t.channels * lanes + l;
    float* to = out;
    if (lanes - l >= kFloats)
      for (int64_t c = begin; c < end; c++, to += n * kFloats) Lane::store(to, Lane::load(from + c * lanes));
    else
      for (int64_t c = begin; c < end; c++, to += n * kFloats)
        Lane::store(to, Lane::load_n(from + c * lanes, static_cast<int>(lanes - l)));
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_LINEAR_PAD_H_
