// `The tree` of the arithmetic contract over many sets of 16 virtual lanes at once.
// Never here: another order of additions than tree16 has.
#ifndef EDGECL_KERNELS_SIMD_TREE_H_
#define EDGECL_KERNELS_SIMD_TREE_H_

#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// a and b hold kVec / kWidth groups of kWidth lanes each; the result holds the groups of a, then of b, each folded to
// kWidth / 2 lanes by t[i] += t[i + kWidth / 2].
#define EDGECL_FOLD_INDEX(k, extra) \
  (((k) / half < groups ? 0 : kVec) + ((k) / half % groups) * kWidth + (k) % half + (extra))
#if EDGECL_VECTOR_BYTES == 64
#define EDGECL_FOLD(extra)                                                                                            \
  EDGECL_FOLD_INDEX(0, extra), EDGECL_FOLD_INDEX(1, extra), EDGECL_FOLD_INDEX(2, extra), EDGECL_FOLD_INDEX(3, extra), \
      EDGECL_FOLD_INDEX(4, extra), EDGECL_FOLD_INDEX(5, extra), EDGECL_FOLD_INDEX(6, extra),                          \
      EDGECL_FOLD_INDEX(7, extra), EDGECL_FOLD_INDEX(8, extra), EDGECL_FOLD_INDEX(9, extra),                          \
      EDGECL_FOLD_INDEX(10, extra), EDGECL_FOLD_INDEX(11, extra), EDGECL_FOLD_INDEX(12, extra),                       \
      EDGECL_FOLD_INDEX(13, extra), EDGECL_FOLD_INDEX(14, extra), EDGECL_FOLD_INDEX(15, extra)
#elif EDGECL_VECTOR_BYTES == 32
#define EDGECL_FOLD(extra)                                                                                            \
  EDGECL_FOLD_INDEX(0, extra), EDGECL_FOLD_INDEX(1, extra), EDGECL_FOLD_INDEX(2, extra), EDGECL_FOLD_INDEX(3, extra), \
      EDGECL_FOLD_INDEX(4, extra), EDGECL_FOLD_INDEX(5, extra), EDGECL_FOLD_INDEX(6, extra),                          \
      EDGECL_FOLD_INDEX(7, extra)
#else
#define EDGECL_FOLD(extra) \
  EDGECL_FOLD_INDEX(0, extra), EDGECL_FOLD_INDEX(1, extra), EDGECL_FOLD_INDEX(2, extra), EDGECL_FOLD_INDEX(3, extra)
#endif
template <int kWidth>
EDGECL_INLINE vec fold(vec a, vec b) {
  constexpr int half = kWidth / 2, groups = kVec / kWidth;
  return __builtin_shufflevector(a, b, EDGECL_FOLD(0)) + __builtin_shufflevector(a, b, EDGECL_FOLD(half));
}
#undef EDGECL_FOLD
#undef EDGECL_FOLD_INDEX

// The 16 lanes of one set folded to kVec lanes: t[i] += t[i+8] first, then +4, as far as the register is shorter.
EDGECL_INLINE vec fold_to_vector(const float* lanes) {
  vec t[kParts];
  EDGECL_EACH_PART
  for (int i = 0; i < kParts; i++) t[i] = vload(lanes + i * kVec);
#pragma GCC unroll 4
  for (int s = kParts / 2; s > 0; s /= 2)
    for (int i = 0; i < s; i++) t[i] = t[i] + t[i + s];
  return t[0];
}

// tree16 of one set without a way through memory: less code, and less to wait for, where there is one set at a time.
EDGECL_INLINE float tree_in_registers(const vec16& lanes) {
  typedef float Four __attribute__((vector_size(16)));
  vec t[kParts];
  for (int i = 0; i < kParts; i++) t[i] = lanes.v[i];
#pragma GCC unroll 4
  for (int s = kParts / 2; s > 0; s /= 2)
    for (int i = 0; i < s; i++) t[i] = t[i] + t[i + s];
#if EDGECL_VECTOR_BYTES == 64
  typedef float Eight __attribute__((vector_size(32)));
  const Eight eight = __builtin_shufflevector(t[0], t[0], 0, 1, 2, 3, 4, 5, 6, 7) +
                      __builtin_shufflevector(t[0], t[0], 8, 9, 10, 11, 12, 13, 14, 15);
#elif EDGECL_VECTOR_BYTES == 32
  const vec eight = t[0];
#endif
#if EDGECL_VECTOR_BYTES >= 32
  const Four four =
      __builtin_shufflevector(eight, eight, 0, 1, 2, 3) + __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
#else
  const Four four = t[0];
#endif
  const Four two = four + __builtin_shufflevector(four, four, 2, 3, 2, 3);
  return two[0] + two[1];
}

// sums[k] = the tree of lanes[16 k .. 16 k + 15] for kVec successive k.
EDGECL_INLINE void tree_of_many(const float* lanes, float* sums) {
  vec t[kVec];
#pragma GCC unroll 16
  for (int i = 0; i < kVec; i++) t[i] = fold_to_vector(lanes + i * 16);
#if EDGECL_VECTOR_BYTES == 64
#pragma GCC unroll 8
  for (int i = 0; i < 8; i++) t[i] = fold<16>(t[2 * i], t[2 * i + 1]);
#endif
#if EDGECL_VECTOR_BYTES >= 32
#pragma GCC unroll 4
  for (int i = 0; i < 4; i++) t[i] = fold<8>(t[2 * i], t[2 * i + 1]);
#endif
  // Here every level holds four vectors of groups of four lanes.
#pragma GCC unroll 2
  for (int i = 0; i < 2; i++) t[i] = fold<4>(t[2 * i], t[2 * i + 1]);
  vstore(sums, fold<2>(t[0], t[1]));
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_TREE_H_
