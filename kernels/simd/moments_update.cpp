// Second moments: products of int16 summed over up to eight rows in 32 bits, then added to 64. A panel's eight columns
// lie in the lanes; its rows stream by. Intrinsics: no vector extension says "multiply 16 bits to 32".
// Never here: sums of classes, and counts.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/moments_plan.h"
#include "kernels/simd/simd.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kSumPairs = 4;  // pairs of rows whose products fit in 32 bits together

// Eight sums of 32 bits (Sums), and what they are made of. `left` points at the rows of one value, right at those of
// the panel's eight: [pair][column][2], on Arm [row][column].
#if defined(__AVX2__)
typedef __m256i Sums;
EDGECL_INLINE Sums products(const int16_t* left, const int16_t* right) {  // of one pair of rows
  int32_t two;
  memcpy(&two, left, sizeof two);
  return _mm256_madd_epi16(_mm256_loadu_si256((const __m256i*)right), _mm256_set1_epi32(two));
}
EDGECL_INLINE Sums plus(Sums a, Sums b) {
  return _mm256_add_epi32(a, b);
}
EDGECL_INLINE Sums masked(Sums a, const int32_t* mask) {
  return _mm256_and_si256(a, _mm256_loadu_si256((const __m256i*)mask));
}
struct Moments {
  __m256i low, high;
};
EDGECL_INLINE Moments load(const int64_t* m) {
  return {_mm256_loadu_si256((const __m256i*)m), _mm256_loadu_si256((const __m256i*)(m + 4))};
}
EDGECL_INLINE void store(int64_t* m, Moments x) {
  _mm256_storeu_si256((__m256i*)m, x.low);
  _mm256_storeu_si256((__m256i*)(m + 4), x.high);
}
EDGECL_INLINE Moments widened(Moments x, Sums s) {
  return {_mm256_add_epi64(x.low, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(s))),
          _mm256_add_epi64(x.high, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(s, 1)))};
}
#elif defined(__x86_64__)
struct Sums {
  __m128i v[2];
};
EDGECL_INLINE Sums products(const int16_t* left, const int16_t* right) {
  int32_t two;
  memcpy(&two, left, sizeof two);
  const __m128i both = _mm_set1_epi32(two);
  return {{_mm_madd_epi16(_mm_loadu_si128((const __m128i*)right), both),
           _mm_madd_epi16(_mm_loadu_si128((const __m128i*)(right + 8)), both)}};
}
EDGECL_INLINE Sums plus(Sums a, Sums b) {
  return {{_mm_add_epi32(a.v[0], b.v[0]), _mm_add_epi32(a.v[1], b.v[1])}};
}
EDGECL_INLINE Sums masked(Sums a, const int32_t* mask) {
  return {{_mm_and_si128(a.v[0], _mm_loadu_si128((const __m128i*)mask)),
           _mm_and_si128(a.v[1], _mm_loadu_si128((const __m128i*)(mask + 4)))}};
}
struct Moments {
  __m128i v[4];
};
EDGECL_INLINE Moments load(const int64_t* m) {
  Moments x;
  for (int i = 0; i < 4; i++) x.v[i] = _mm_loadu_si128((const __m128i*)(m + 2 * i));
  return x;
}
EDGECL_INLINE void store(int64_t* m, Moments x) {
  for (int i = 0; i < 4; i++) _mm_storeu_si128((__m128i*)(m + 2 * i), x.v[i]);
}
EDGECL_INLINE Moments widened(Moments x, Sums s) {
  for (int i = 0; i < 2; i++) {
    const __m128i sign = _mm_srai_epi32(s.v[i], 31);
    x.v[2 * i] = _mm_add_epi64(x.v[2 * i], _mm_unpacklo_epi32(s.v[i], sign));
    x.v[2 * i + 1] = _mm_add_epi64(x.v[2 * i + 1], _mm_unpackhi_epi32(s.v[i], sign));
  }
  return x;
}
#else
struct Sums {
  int32x4_t v[2];
};
EDGECL_INLINE Sums products(const int16_t* left, const int16_t* right) {
  const int16x8_t first = vld1q_s16(right), second = vld1q_s16(right + 8);
  return {{vmlal_n_s16(vmull_n_s16(vget_low_s16(first), left[0]), vget_low_s16(second), left[1]),
           vmlal_n_s16(vmull_n_s16(vget_high_s16(first), left[0]), vget_high_s16(second), left[1])}};
}
EDGECL_INLINE Sums plus(Sums a, Sums b) {
  return {{vaddq_s32(a.v[0], b.v[0]), vaddq_s32(a.v[1], b.v[1])}};
}
EDGECL_INLINE Sums masked(Sums a, const int32_t* mask) {
  return {{vandq_s32(a.v[0], vld1q_s32(mask)), vandq_s32(a.v[1], vld1q_s32(mask + 4))}};
}
struct Moments {
  int64x2_t v[4];
};
EDGECL_INLINE Moments load(const int64_t* m) {
  return {{vld1q_s64(m), vld1q_s64(m + 2), vld1q_s64(m + 4), vld1q_s64(m + 6)}};
}
EDGECL_INLINE void store(int64_t* m, Moments x) {
  for (int i = 0; i < 4; i++) vst1q_s64(m + 2 * i, x.v[i]);
}
EDGECL_INLINE Moments widened(Moments x, Sums s) {
  for (int i = 0; i < 2; i++) {
    x.v[2 * i] = vaddw_s32(x.v[2 * i], vget_low_s32(s.v[i]));
    x.v[2 * i + 1] = vaddw_s32(x.v[2 * i + 1], vget_high_s32(s.v[i]));
  }
  return x;
}
#endif

// Place of a row's value of a column in `right`.
EDGECL_INLINE int64_t right_at(int64_t row, int64_t column) {
#if defined(__aarch64__)
  return row * kPanelColumns + column;
#else
  return (row / 2 * kPanelColumns + column) * 2 + row % 2;
#endif
}

// One row of a panel; mask (or null) has the columns that exist.
template <int kPairs>
EDGECL_INLINE void update_row(const int16_t* left, const int16_t* right, const int32_t* mask, int64_t* moments) {
  constexpr int kTogether = kPairs < kSumPairs ? kPairs : kSumPairs;
  Moments m = load(moments);
  EDGECL_UNROLL
  for (int first = 0; first < kPairs; first += kTogether) {
    Sums s;
    EDGECL_UNROLL
    for (int i = first; i < first + kTogether; i++) {
      const Sums two = products(left + 2 * i, right + i * 2 * kPanelColumns);
      s = i == first ? two : plus(s, two);
    }
    m = widened(m, mask ? masked(s, mask) : s);
  }
  store(moments, m);
}

// All rows of the panel that begins at column `first`; left [d][2 * kPairs].
template <int kPairs>
void update_panel(const MomentsUpdateArgs& a, int64_t first, const int16_t* left) {
  static const int32_t kMask[2 * kPanelColumns] = {-1, -1, -1, -1, -1, -1, -1, -1};
  int16_t right[2 * kPairs * kPanelColumns] = {};
  for (int64_t r = 0; r < a.n; r++) {
    for (int64_t c = 0; c < kPanelColumns && first + c < a.d; c++) right[right_at(r, c)] = a.q[r * a.d + first + c];
  }
  int64_t* moments = a.moments + moments_panel(first / kPanelColumns, a.d);
  int64_t i = first;
  for (; i < a.d && i < first + kPanelColumns; i++, moments += kPanelColumns)
    update_row<kPairs>(left + 2 * kPairs * i, right, kMask + kPanelColumns - 1 - (i - first), moments);
  for (; i < a.d; i++, moments += kPanelColumns) update_row<kPairs>(left + 2 * kPairs * i, right, nullptr, moments);
}

template <int kPairs>
void update(const MomentsUpdateArgs& a, const PanelShare& mine, int16_t* left) {
  for (int64_t r = 0; r < 2 * kPairs; r++) {
    for (int64_t i = mine.begin * kPanelColumns; i < a.d; i++) {
      const int16_t q = r < a.n ? a.q[r * a.d + i] : 0;
      left[2 * kPairs * i + r] = static_cast<int16_t>(a.subtract ? -q : q);
    }
  }
  for (int64_t p = mine.begin; p < mine.end; p++) update_panel<kPairs>(a, p * kPanelColumns, left);
}

}  // namespace

void moments_update(const MomentsUpdateArgs& a, int part, int n_parts, void* scratch) {
  const PanelShare mine = panel_share(a.d, part, n_parts);
  int16_t* left = static_cast<int16_t*>(scratch);
  switch (row_pairs(a.n)) {
    case 1:
      return update<1>(a, mine, left);
    case 2:
      return update<2>(a, mine, left);
    case 4:
      return update<4>(a, mine, left);
    case 8:
      return update<8>(a, mine, left);
    default:
      return update<16>(a, mine, left);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
