// Portable SIMD over GCC/Clang vector extensions: one native vector type `vec` per level and the 16 virtual lanes
// `vec16` built of it. Never here: operation-specific code, and any multiply-add that is not one fused instruction.
//
// Each kernel file is compiled once per level with EDGECL_LEVEL set to v1, v3, v4 or neon and the matching -march;
// everything lies in a namespace of that name, so that no inline function of one level can be linked into another.
#ifndef EDGECL_KERNELS_SIMD_SIMD_H_
#define EDGECL_KERNELS_SIMD_SIMD_H_

#include <stdint.h>
#include <string.h>

#include "kernels/arithmetic.h"
#include "kernels/plan/vector_shape.h"

#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#ifndef EDGECL_LEVEL
#error "compile kernels with -DEDGECL_LEVEL=v1|v3|v4|neon (see kernels/CMakeLists.txt)"
#endif

#if defined(__AVX512F__)
#define EDGECL_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define EDGECL_VECTOR_BYTES 32
#else
#define EDGECL_VECTOR_BYTES 16
#endif

#define EDGECL_INLINE static inline __attribute__((always_inline))
// Lambdas of a hot loop carry this: left out of line, their captures would be reloaded after every store.
#define EDGECL_INLINE_LAMBDA __attribute__((always_inline))
// Loops over registers must disappear at every optimisation level that is meant to be fast.
#if defined(__clang__)
#define EDGECL_UNROLL _Pragma("unroll")
#else
#define EDGECL_UNROLL _Pragma("GCC unroll 32")
#endif

namespace edgecl::EDGECL_LEVEL {

using namespace plan;
#if defined(__AVX512F__)
constexpr VectorShape kShape = kShapeV4;
#elif defined(__AVX2__)
constexpr VectorShape kShape = kShapeV3;
#elif defined(__aarch64__)
constexpr VectorShape kShape = kShapeNeon;
#else
constexpr VectorShape kShape = kShapeV1;
#endif
constexpr int kVec = kShape.floats;  // floats of a native vector
static_assert(kVec * 4 == EDGECL_VECTOR_BYTES, "plans are made for this vector");
constexpr int kParts = 16 / kVec;  // native vectors of the 16 virtual lanes

typedef float vec __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));
typedef int32_t ivec __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));

EDGECL_INLINE vec vload(const float* p) {
  vec v;
  memcpy(&v, p, sizeof v);
  return v;
}
EDGECL_INLINE void vstore(float* p, vec v) {
  memcpy(p, &v, sizeof v);
}
EDGECL_INLINE vec vset(float x) {
  return x - (vec){};
}  // x - 0 keeps -0 and NaN
EDGECL_INLINE vec vzero() {
  return (vec){};
}

// One rounding on every level. Compilers may not be trusted to contract (gcc -O1 does not), hence the intrinsics.
// Without an instruction for it the call of the C library costs far more than one of this function would, which then
// saves a megabyte of unrolled calls.
#if defined(__FMA__) || defined(__aarch64__)
#define EDGECL_FMA_FUNCTION EDGECL_INLINE
#else
#define EDGECL_FMA_FUNCTION static __attribute__((noinline, unused))
#endif
EDGECL_FMA_FUNCTION vec vfma(vec a, vec b, vec c) {
#if defined(__AVX512F__)
  return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__FMA__)
  return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  vec r;
  for (int i = 0; i < kVec; i++) r[i] = fused_multiply_add(a[i], b[i], c[i]);
  return r;
#endif
}
EDGECL_INLINE float sfma(float a, float b, float c) {
  return fused_multiply_add(a, b, c);
}
// x > y ? x : y and x < y ? x : y per lane (so NaN in x gives y): the same choice on every level.
EDGECL_INLINE vec vmax(vec x, vec y) {
  return x > y ? x : y;
}
EDGECL_INLINE vec vmin(vec x, vec y) {
  return x < y ? x : y;
}
EDGECL_INLINE vec vsqrt(vec x) {
#if defined(__AVX512F__)
  return (vec)_mm512_sqrt_ps((__m512)x);
#elif defined(__AVX2__)
  return (vec)_mm256_sqrt_ps((__m256)x);
#elif defined(__aarch64__)
  return (vec)vsqrtq_f32((float32x4_t)x);
#else
  for (int i = 0; i < kVec; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// A masked load is as quick as any other; a masked store is slow on some CPUs, and code for every n too long to be
// inlined.
EDGECL_INLINE __m256 load_first(const float* p, int n) {
  static const int32_t kOnesZeros[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
  __m256i mask;
  memcpy(&mask, kOnesZeros + 8 - n, sizeof mask);
  return _mm256_maskload_ps(p, mask);
}
static __attribute__((noinline, unused)) void store_first(float* p, __m256 v, int n) {
  if (n & 8) return _mm256_storeu_ps(p, v);
  __m128 x = _mm256_castps256_ps128(v);
  if (n & 4) {
    _mm_storeu_ps(p, x);
    x = _mm256_extractf128_ps(v, 1);
    p += 4;
  }
  if (n & 2) {
    _mm_storel_pi(reinterpret_cast<__m64*>(p), x);
    x = _mm_movehl_ps(x, x);
    p += 2;
  }
  if (n & 1) _mm_store_ss(p, x);
}
#endif
// First n floats (0 <= n <= kVec); the other lanes read 0 and are not stored.
EDGECL_INLINE vec vload_n(const float* p, int n) {
#if defined(__AVX512F__)
  return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p);
#elif defined(__AVX2__)
  return (vec)load_first(p, n);
#else
  vec v = {};
  memcpy(&v, p, static_cast<size_t>(n) * 4);
  return v;
#endif
}
EDGECL_INLINE void vstore_n(float* p, vec v, int n) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v);
#elif defined(__AVX2__)
  store_first(p, (__m256)v, n);
#else
  memcpy(p, &v, static_cast<size_t>(n) * 4);
#endif
}

// Doubles, of which a native vector holds half as many: what the statistics of heads need, and no more.
constexpr int kDoubles = kVec / 2;
typedef double dvec __attribute__((vector_size(EDGECL_VECTOR_BYTES), may_alias));

EDGECL_INLINE dvec dload(const double* p) {
  dvec v;
  memcpy(&v, p, sizeof v);
  return v;
}
EDGECL_INLINE void dstore(double* p, dvec v) {
  memcpy(p, &v, sizeof v);
}
EDGECL_INLINE dvec dset(double x) {
  return x - (dvec){};
}
// c - a * b with one rounding.
EDGECL_FMA_FUNCTION dvec dfnma(dvec a, dvec b, dvec c) {
#if defined(__AVX512F__)
  return (dvec)_mm512_fnmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (dvec)_mm256_fnmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#elif defined(__aarch64__)
  return (dvec)vfmsq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
#else
  dvec r;
  for (int i = 0; i < kDoubles; i++) r[i] = fused_multiply_add(-a[i], b[i], c[i]);
  return r;
#endif
}

// kVec bytes as floats.
EDGECL_INLINE vec vload_u8(const uint8_t* p) {
#if defined(__AVX512F__)
  return (vec)_mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128((const __m128i*)p)));
#elif defined(__AVX2__)
  return (vec)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i*)p)));
#else
  vec v;
  for (int i = 0; i < kVec; i++) v[i] = static_cast<float>(p[i]);
  return v;
#endif
}

// The four parts of 16 lanes would stay a loop over memory at -O2; one or two are unrolled anyway.
#if EDGECL_VECTOR_BYTES == 16
#define EDGECL_EACH_PART _Pragma("GCC unroll 4")
#else
#define EDGECL_EACH_PART
#endif

struct vec16 {  // the 16 virtual lanes of the arithmetic contract
  vec v[kParts];
};
EDGECL_INLINE vec16 zero16() {
  vec16 r;
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) r.v[i] = vzero();
  return r;
}
EDGECL_INLINE vec16 set16(float x) {
  vec16 r;
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) r.v[i] = vset(x);
  return r;
}
EDGECL_INLINE vec16 load16(const float* p) {
  vec16 r;
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) r.v[i] = vload(p + i * kVec);
  return r;
}
EDGECL_INLINE void store16(float* p, const vec16& a) {
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) vstore(p + i * kVec, a.v[i]);
}
EDGECL_INLINE vec16 load16_n(const float* p, int n) {
  vec16 r;
  for (int i = 0; i < kParts; i++) {
    int k = n - i * kVec;
    r.v[i] = vload_n(p + (k > 0 ? i * kVec : 0), k < 0 ? 0 : k > kVec ? kVec : k);
  }
  return r;
}
EDGECL_INLINE void store16_n(float* p, const vec16& a, int n) {
  for (int i = 0; i < kParts; i++) {
    int k = n - i * kVec;
    if (k > 0) vstore_n(p + i * kVec, a.v[i], k > kVec ? kVec : k);
  }
}
EDGECL_INLINE vec16 fma16(const vec16& a, const vec16& b, const vec16& c) {
  vec16 r;
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) r.v[i] = vfma(a.v[i], b.v[i], c.v[i]);
  return r;
}
EDGECL_INLINE vec16 add16(const vec16& a, const vec16& b) {
  vec16 r;
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) r.v[i] = a.v[i] + b.v[i];
  return r;
}
// `The tree`: t[i] += t[i+8], then +4, +2, +1.
EDGECL_INLINE float tree16(const vec16& a) {
  float t[16];
  store16(t, a);
  for (int s = 8; s; s >>= 1)
    for (int i = 0; i < s; i++) t[i] = t[i] + t[i + s];
  return t[0];
}

// The share of `n` items that part `part` of `n_parts` computes: [begin, end), contiguous, in order.
EDGECL_INLINE void share(int64_t n, int part, int n_parts, int64_t* begin, int64_t* end) {
  *begin = n * part / n_parts;
  *end = n * (part + 1) / n_parts;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SIMD_H_
