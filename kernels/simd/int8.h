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
EDGECL_INLINE ivec add_wrapping(ivec a, ivec b) {
  return (ivec)((uvec)a + (uvec)b);
}

// What requantize takes for each lane, prepared once for many calls.
struct Scale {
  ivec multiplier, odd_multiplier, left, down, half, has_down;
};
EDGECL_INLINE Scale scale_of(ivec multiplier, ivec shift) {
  const ivec zero = {}, down = shift < zero ? -shift : zero;
  Scale s;
  s.multiplier = multiplier;
  s.odd_multiplier = multiplier;
  s.left = shift > zero ? shift : zero;
  s.down = down;
  s.has_down = down > zero;
#if defined(__AVX512F__)
  s.odd_multiplier = (ivec)_mm512_srli_epi64((__m512i)multiplier, 32);
  s.left = s.left + 1;
  s.half = (ivec)_mm512_sllv_epi32(_mm512_set1_epi32(1), (__m512i)(down - 1)) & s.has_down;
#elif defined(__AVX2__)
  s.odd_multiplier = (ivec)_mm256_srli_epi64((__m256i)multiplier, 32);
  s.left = s.left + 1;
  s.half = (ivec)_mm256_sllv_epi32(_mm256_set1_epi32(1), (__m256i)(down - 1)) & s.has_down;
#else
  s.half = zero;
#endif
  return s;
}

// Ties away from zero are ties upwards of b - 1 where b is negative. The limit of kernels/int8.h keeps all sums in range.
EDGECL_INLINE ivec requantize(ivec acc, const Scale& s) {
#if defined(__AVX512F__)
  // Twice the product, so that its upper half is what is wanted.
  const __m512i half = _mm512_set1_epi64(int64_t{1} << 31), a = _mm512_sllv_epi32((__m512i)acc, (__m512i)s.left);
  const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(a, (__m512i)s.multiplier), half);
  const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), (__m512i)s.odd_multiplier), half);
  const ivec b = (ivec)_mm512_mask_shuffle_epi32(odd, 0x5555, even, (_MM_PERM_ENUM)0xf5);
  return (ivec)_mm512_srav_epi32((__m512i)(b + ((b >> 31) & s.has_down) + s.half), (__m512i)s.down);
#elif defined(__AVX2__)
  const __m256i half = _mm256_set1_epi64x(int64_t{1} << 31), a = _mm256_sllv_epi32((__m256i)acc, (__m256i)s.left);
  const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, (__m256i)s.multiplier), half);
  const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), (__m256i)s.odd_multiplier), half);
  const ivec b = (ivec)_mm256_blend_epi32(_mm256_shuffle_epi32(even, 0xf5), odd, 0xaa);
  return (ivec)_mm256_srav_epi32((__m256i)(b + ((b >> 31) & s.has_down) + s.half), (__m256i)s.down);
#elif defined(__aarch64__)
  const int32x4_t a = vshlq_s32((int32x4_t)acc, (int32x4_t)s.left);
  const ivec b = (ivec)vqrdmulhq_s32(a, (int32x4_t)s.multiplier);
  return (ivec)vrshlq_s32((int32x4_t)(b + ((b >> 31) & s.has_down)), (int32x4_t)(-s.down));
#else
  ivec r;
  for (int i = 0; i < kVec; i++) r[i] = edgecl::requantize(acc[i], s.multiplier[i], s.left[i] - s.down[i]);
  return r;
#endif
}

// From sums to what is stored: requantised, moved by the zero point, clamped. By value in registers, since a store of
// bytes may change anything that lies in memory.
struct Finish {
  Scale scale;
  ivec zero_point, lo, hi;
  EDGECL_ALWAYS_INLINE void operator()(ivec acc, int8_t* to, int n) const {
    store_int8(to, clamp_int32(requantize(acc, scale) + zero_point, lo, hi), n);
  }
};
EDGECL_INLINE Finish finish_with(ivec multiplier, ivec shift, int32_t zero_point, int32_t lo, int32_t hi) {
  return {scale_of(multiplier, shift), iset(zero_point), iset(lo), iset(hi)};
}

#if defined(__AVX2__)
// The same where nothing but the range of int8 bounds, and no shift is above kMostQuickDown: with the zero point and the
// half of the shift in the rounding of the product, t = b + (half - 1) + (zero_point << down), and what remains is (t +
// (b >= 0)) >> down. A lane without a shift has t = b + zero_point, to which nothing is added.
constexpr int32_t kMostQuickDown = 22;  // so that t stays below 2^31
struct QuickFinish {
  ivec multiplier, odd_multiplier, left, down, even_round, odd_round, below;  // b >= 0 where t > below
  EDGECL_ALWAYS_INLINE QuickFinish(const Scale& s, ivec zero_point)
      : multiplier(s.multiplier), odd_multiplier(s.odd_multiplier), left(s.left), down(s.down) {
    const ivec added = s.half + s.has_down + (zero_point << s.down);  // has_down is -1
#if defined(__AVX512F__)
    const __m512i low = _mm512_set1_epi64(int64_t{1} << 31);
    even_round = (ivec)_mm512_or_si512(_mm512_slli_epi64((__m512i)added, 32), low);
    odd_round = (ivec)_mm512_mask_blend_epi32(0xaaaa, low, (__m512i)added);
#else
    const __m256i low = _mm256_set1_epi64x(int64_t{1} << 31);
    even_round = (ivec)_mm256_or_si256(_mm256_slli_epi64((__m256i)added, 32), low);
    odd_round = (ivec)_mm256_blend_epi32(low, (__m256i)added, 0xaa);
#endif
    below = s.has_down ? added - 1 : iset(INT32_MAX);
  }
  EDGECL_ALWAYS_INLINE void operator()(ivec acc, int8_t* to, int n) const {
#if defined(__AVX512F__)
    const __m512i a = _mm512_sllv_epi32((__m512i)acc, (__m512i)left);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32(a, (__m512i)multiplier), (__m512i)even_round);
    const __m512i odd =
        _mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), (__m512i)odd_multiplier), (__m512i)odd_round);
    const __m512i t = _mm512_mask_shuffle_epi32(odd, 0x5555, even, (_MM_PERM_ENUM)0xf5);
    const __mmask16 up = _mm512_cmpgt_epi32_mask(t, (__m512i)below);
    const __m512i y = _mm512_srav_epi32(_mm512_mask_sub_epi32(t, up, t, _mm512_set1_epi32(-1)), (__m512i)down);
    const __m128i bytes = _mm512_maskz_cvtsepi32_epi8(0xffff, y);
    if (n == kVec)
      _mm_storeu_si128((__m128i*)to, bytes);
    else
      _mm_mask_storeu_epi8(to, (__mmask16)((1u << n) - 1u), bytes);
#else
    const __m256i a = _mm256_sllv_epi32((__m256i)acc, (__m256i)left);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, (__m256i)multiplier), (__m256i)even_round);
    const __m256i odd =
        _mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), (__m256i)odd_multiplier), (__m256i)odd_round);
    const __m256i t = _mm256_blend_epi32(_mm256_shuffle_epi32(even, 0xf5), odd, 0xaa);
    const __m256i y = _mm256_srav_epi32(_mm256_sub_epi32(t, _mm256_cmpgt_epi32(t, (__m256i)below)), (__m256i)down);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(y), _mm256_extracti128_si256(y, 1));
    const __m128i bytes = _mm_packs_epi16(words, words);
    if (n == kVec)
      _mm_storel_epi64((__m128i*)to, bytes);
    else
      memcpy(to, &bytes, static_cast<size_t>(n));
#endif
  }
};
typedef QuickFinish UsualFinish;
EDGECL_INLINE UsualFinish usual_finish(const Finish& f) {
  return QuickFinish(f.scale, f.zero_point);
}
#else
typedef Finish UsualFinish;
EDGECL_INLINE UsualFinish usual_finish(const Finish& f) {
  return f;
}
#endif

// The same for a block of channels of a layer. The sums of the block start with `start`, so that a window's values may
// be taken as they are, without `zero_point`.
struct LayerFinish {
  Finish finish;
  ivec start;
  bool usual;  // UsualFinish does the same
};
EDGECL_INLINE bool is_usual([[maybe_unused]] const Int8ConvArgs& a, [[maybe_unused]] ivec shift) {
#if defined(__AVX512F__)
  return a.lo == -128 && a.hi == 127 &&
         _mm512_cmplt_epi32_mask((__m512i)shift, _mm512_set1_epi32(-kMostQuickDown)) == 0;
#elif defined(__AVX2__)
  return a.lo == -128 && a.hi == 127 &&
         _mm256_movemask_epi8(_mm256_cmpgt_epi32(_mm256_set1_epi32(-kMostQuickDown), (__m256i)shift)) == 0;
#else
  return true;
#endif
}
EDGECL_INLINE ivec layer_start(const Int8ConvArgs& a, int64_t channel, int64_t stride, int32_t zero_point) {
  const int32_t* table = a.table + channel;
  return (ivec)((uvec)iload(table + kInt8Bias * stride) -
                (uvec)iset(zero_point) * (uvec)iload(table + kInt8Sum * stride));
}
EDGECL_INLINE LayerFinish layer_finish(const Int8ConvArgs& a, int64_t channel, int64_t stride, int32_t zero_point) {
  const int32_t* table = a.table + channel;
  const ivec shift = iload(table + kInt8Shift * stride);
  return {finish_with(iload(table + kInt8Multiplier * stride), shift, a.y.zero_point, a.lo, a.hi),
          layer_start(a, channel, stride, zero_point), is_usual(a, shift)};
}

// Depthwise sums take `kColumnRows` rows of a window's column at once: a lane holds one channel of each, and is
// multiplied by a lane of weights. `kColumnOffset` was added to each value.
#if defined(__AVX512VNNI__)
constexpr int kColumnRows = 4, kColumnOffset = 128;
#elif defined(__AVX2__)
constexpr int kColumnRows = 2, kColumnOffset = 0;
#else
constexpr int kColumnRows = 1, kColumnOffset = 0;
#endif

#if defined(__AVX512VNNI__)
// Byte r of each lane is that of row r; of `n` rows.
EDGECL_INLINE ivec bytes_together(const int8_t* const* rows, int64_t at, int n) {
  ivec lanes = {};
  EDGECL_UNROLL
  for (int r = 0; r < n; r++) {
    const __m512i row = _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128((const __m128i*)(rows[r] + at)));
    lanes = r == 0 ? (ivec)row : lanes ^ ((ivec)row << (8 * r));
  }
  return lanes;
}
#endif
EDGECL_INLINE ivec column_values(const int8_t* const* rows, int64_t at, int n) {
#if defined(__AVX512VNNI__)
  return bytes_together(rows, at, n) ^ static_cast<int32_t>(0x80808080u >> (8 * (4 - n)));
#elif defined(__AVX512F__)
  const ivec first = load_int8(rows[0] + at);
  if (n == 1) return first;
  return (ivec)_mm512_mask_blend_epi16(0xaaaaaaaa, (__m512i)first, (__m512i)(load_int8(rows[1] + at) << 16));
#elif defined(__AVX2__)
  const ivec first = load_int8(rows[0] + at);
  if (n == 1) return first;
  return (ivec)_mm256_blend_epi16((__m256i)first, (__m256i)(load_int8(rows[1] + at) << 16), 0xaa);
#else
  (void)n;
  return load_int8(rows[0] + at);
#endif
}
// The same of weights, those of rows that there are not being 0.
EDGECL_INLINE ivec column_weights(const int8_t* const* rows, int64_t at, int n) {
#if defined(__AVX512VNNI__)
  return bytes_together(rows, at, n);
#elif defined(__AVX2__)
  return n == 1 ? load_int8(rows[0] + at) & 0xffff : column_values(rows, at, n);
#else
  return column_values(rows, at, n);
#endif
}
EDGECL_INLINE ivec column_dot(ivec acc, ivec x, ivec w) {
#if defined(__AVX512VNNI__)
  return (ivec)_mm512_dpbusd_epi32((__m512i)acc, (__m512i)x, (__m512i)w);
#elif defined(__AVX512F__)
  return add_wrapping(acc, (ivec)_mm512_madd_epi16((__m512i)x, (__m512i)w));
#elif defined(__AVX2__)
  return add_wrapping(acc, (ivec)_mm256_madd_epi16((__m256i)x, (__m256i)w));
#else
  return add_wrapping(acc, x * w);
#endif
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_INT8_H_
