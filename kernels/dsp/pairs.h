// Pairs of 16 bits in a word, as the DSP extension of 32-bit Arm cores has them (Arm C Language Extensions, "32-bit SIMD
// intrinsics"); other machines compute the same by definition.
// Never here: kernels.
#ifndef EDGECL_KERNELS_DSP_PAIRS_H_
#define EDGECL_KERNELS_DSP_PAIRS_H_

#include <stdint.h>
#include <string.h>

#include "kernels/kernel_declarations.h"

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#define EDGECL_HAS_PAIRS 1
#endif

EDGECL_DECLARE_DOT_KERNELS(dsp)

namespace edgecl::dsp {

#define EDGECL_PAIR __attribute__((always_inline)) static inline

// Four bytes, wherever they lie, the first one lowest.
EDGECL_PAIR uint32_t load_word(const int8_t* from) {
  uint32_t word;
  memcpy(&word, from, sizeof word);
  return word;
}

EDGECL_PAIR uint32_t pair(int32_t low, int32_t high) {
  return (static_cast<uint32_t>(low) & 0xffffu) | (static_cast<uint32_t>(high) << 16);
}
EDGECL_PAIR int32_t low_of(uint32_t pair) {
  return static_cast<int16_t>(pair & 0xffffu);
}
EDGECL_PAIR int32_t high_of(uint32_t pair) {
  return static_cast<int16_t>(pair >> 16);
}

// Signed bytes of a word as a pair.
EDGECL_PAIR uint32_t bytes_0_and_2(uint32_t word) {
#if defined(EDGECL_HAS_PAIRS)
  return static_cast<uint32_t>(__sxtb16(static_cast<int8x4_t>(word)));
#else
  return pair(static_cast<int8_t>(word & 0xffu), static_cast<int8_t>(word >> 16 & 0xffu));
#endif
}
EDGECL_PAIR uint32_t bytes_1_and_3(uint32_t word) {
#if defined(EDGECL_HAS_PAIRS)
  uint32_t pair;  // the compiler makes two instructions of the rotation and the intrinsic
  __asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
#else
  return bytes_0_and_2(word >> 8 | word << 24);
#endif
}

// The same number taken from both.
EDGECL_PAIR uint32_t minus_both(uint32_t from, int32_t number) {
#if defined(EDGECL_HAS_PAIRS)
  return static_cast<uint32_t>(__ssub16(static_cast<int16x2_t>(from), static_cast<int16x2_t>(pair(number, number))));
#else
  return pair(low_of(from) - number, high_of(from) - number);
#endif
}

// sum + low * low + high * high. The sums of int8 layers stay within 32 bits (int8.h).
EDGECL_PAIR int32_t add_two_products(uint32_t a, uint32_t b, int32_t sum) {
#if defined(EDGECL_HAS_PAIRS)
  return __smlad(static_cast<int16x2_t>(a), static_cast<int16x2_t>(b), sum);
#else
  return sum + low_of(a) * low_of(b) + high_of(a) * high_of(b);
#endif
}
EDGECL_PAIR int32_t add_low_product(uint32_t a, uint32_t b, int32_t sum) {
#if defined(EDGECL_HAS_PAIRS)
  return __smlabb(static_cast<int32_t>(a), static_cast<int32_t>(b), sum);
#else
  return sum + low_of(a) * low_of(b);
#endif
}
EDGECL_PAIR int32_t add_high_product(uint32_t a, uint32_t b, int32_t sum) {
#if defined(EDGECL_HAS_PAIRS)
  return __smlatt(static_cast<int32_t>(a), static_cast<int32_t>(b), sum);
#else
  return sum + high_of(a) * high_of(b);
#endif
}

#undef EDGECL_PAIR

}  // namespace edgecl::dsp

#endif  // EDGECL_KERNELS_DSP_PAIRS_H_
