// Between bytes and lanes of int32, and requantisation on them (its definition: kernels/int8.h).
// Never here: operation-specific code.
#ifndef EDGECL_KERNELS_SIMD_INT8_H_
#define EDGECL_KERNELS_SIMD_INT8_H_

#include "kernels/int8.h"
#include "kernels/kernel_declarations.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

typedef uint32_t uvec __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));
typedef int8_t Bytes __attribute__((vector_size(EDGECL_VECTOR_BYTES / 4)));

EDGECL_INLINE ivec iset(int32_t x) {
  return x - (ivec){};
}
EDGECL_INLINE ivec iload(const int32_t* p) {
  ivec v;
  memcpy(&v, p, sizeof v);
  return v;
}

// kVec bytes as int32.
EDGECL_INLINE ivec load_int8(const int8_t* p) {
#if defined(__AVX512F__)
  return (ivec)_mm512_maskz_cvtepi8_epi32(0xffff, _mm_loadu_si128((const __m128i*)p));
#elif defined(__AVX2__)
  return (ivec)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)p));
#else
  Bytes bytes;
  memcpy(&bytes, p, sizeof bytes);
  return __builtin_convertvector(bytes, ivec);
#endif
}
// The first n lanes, all in -128..127, as bytes.
EDGECL_INLINE void store_int8(int8_t* p, ivec v, int n) {
#if defined(__AVX512F__)
  const __m128i bytes = _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v);
  if (n == kVec)
    _mm_storeu_si128((__m128i*)p, bytes);
  else
    _mm_mask_storeu_epi8(p, (__mmask16)((1u << n) - 1u), bytes);
#elif defined(__AVX2__)
  const __m256i first = _mm256_shuffle_epi8(
      (__m256i)v, _mm256_set_epi32(-1, -1, -1, 0x0c080400, -1, -1, -1, 0x0c080400));  // of each half, in its low part
  const __m128i bytes = _mm_unpacklo_epi32(_mm256_castsi256_si128(first), _mm256_extracti128_si256(first, 1));
  if (n == kVec)
    _mm_storel_epi64((__m128i*)p, bytes);
  else
    memcpy(p, &bytes, static_cast<size_t>(n));
#else
  const Bytes bytes = __builtin_convertvector(v, Bytes);
  if (n == kVec)
    memcpy(p, &bytes, sizeof bytes);
  else
    memcpy(p, &bytes, static_cast<size_t>(n));
#endif
}

EDGECL_INLINE ivec clamp_int32(ivec v, ivec lo, ivec hi) {
  v = v < lo ? lo : v;
  return v > hi ? hi : v;
}
// clamp(v + zero_point, lo, hi), without an overflow on the way.
EDGECL_INLINE ivec clamp_moved(ivec v, int32_t zero_point, int32_t lo, int32_t hi) {
  return clamp_int32(v, iset(lo - zero_point), iset(hi - zero_point)) + zero_point;
}
EDGECL_INLINE ivec add_wrapping(ivec a, ivec b) {
  return (ivec)((uvec)a + (uvec)b);
}

// Where the sums of a block of channels start, so that a window's values may be taken as they are, without
// `zero_point`.
EDGECL_INLINE ivec start_of(const int32_t* table, int64_t stride, int32_t zero_point) {
  return (ivec)((uvec)iload(table + kInt8Bias * stride) -
                (uvec)iset(zero_point) * (uvec)iload(table + kInt8Sum * stride));
}

// What requantize multiplies each lane with, prepared once for many calls.
struct Scale {
  ivec multiplier, left, down;
};
EDGECL_INLINE Scale scale_of(ivec multiplier, ivec shift) {
  const ivec zero = {};
  return {multiplier, shift > zero ? shift : zero, shift < zero ? -shift : zero};
}

EDGECL_INLINE ivec requantize(ivec acc, const Scale& s) {
#if defined(__AVX512F__) || defined(__AVX2__)
#if defined(__AVX512F__)
  const __m512i half = _mm512_set1_epi64(int64_t{1} << 30), a = _mm512_sllv_epi32((__m512i)acc, (__m512i)s.left);
  const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(a, (__m512i)s.multiplier), half);
  const __m512i odd =
      _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64((__m512i)s.multiplier, 32)), half);
  const ivec b =
      (ivec)_mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 31), _mm512_slli_epi64(odd, 1));
#else
  const __m256i half = _mm256_set1_epi64x(int64_t{1} << 30), a = _mm256_sllv_epi32((__m256i)acc, (__m256i)s.left);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, (__m256i)s.multiplier), half);
  const __m256i odd =
      _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), _mm256_srli_epi64((__m256i)s.multiplier, 32)), half);
  const ivec b = (ivec)_mm256_blend_epi32(_mm256_srli_epi64(even, 31), _mm256_slli_epi64(odd, 1), 0xaa);
#endif
  // Ties away from zero are ties upwards of b - 1 where b is negative. b is above INT32_MIN, since multiplier < 2^31.
  const ivec moved = b + ((b >> 31) & (s.down > 0));
#if defined(__AVX512F__)
  const ivec whole = (ivec)_mm512_srav_epi32((__m512i)moved, (__m512i)s.down);
  const ivec rest = (ivec)_mm512_srlv_epi32((__m512i)moved, (__m512i)(s.down - 1));  // 0 for a shift of -1
#else
  const ivec whole = (ivec)_mm256_srav_epi32((__m256i)moved, (__m256i)s.down);
  const ivec rest = (ivec)_mm256_srlv_epi32((__m256i)moved, (__m256i)(s.down - 1));
#endif
  return whole + (rest & 1);
#elif defined(__aarch64__)
  const int32x4_t a = vshlq_s32((int32x4_t)acc, (int32x4_t)s.left);
  const ivec b = (ivec)vqrdmulhq_s32(a, (int32x4_t)s.multiplier);
  const ivec moved = b + ((b >> 31) & (s.down > 0));  // as above; the shift that follows rounds ties upwards
  return (ivec)vrshlq_s32((int32x4_t)moved, (int32x4_t)(-s.down));
#else
  ivec r;
  for (int i = 0; i < kVec; i++) r[i] = edgecl::requantize(acc[i], s.multiplier[i], s.left[i] - s.down[i]);
  return r;
#endif
}

// acc + x * w of lanes that fit into 16 bits; the upper half of a lane of w is zero on x86 (lower_half).
EDGECL_INLINE ivec multiply_add(ivec x, ivec w, ivec acc) {
#if defined(__AVX512VNNI__)
  return (ivec)_mm512_dpwssd_epi32((__m512i)acc, (__m512i)x, (__m512i)w);
#elif defined(__AVX512F__)
  return add_wrapping(acc, (ivec)_mm512_madd_epi16((__m512i)x, (__m512i)w));
#elif defined(__AVX2__)
  return add_wrapping(acc, (ivec)_mm256_madd_epi16((__m256i)x, (__m256i)w));
#else
  return add_wrapping(acc, x * w);
#endif
}
EDGECL_INLINE ivec lower_half(ivec w) {
#if defined(__AVX2__)
  return w & 0xffff;
#else
  return w;
#endif
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_INT8_H_
