// What the kernels of the M-profile vector extension share: requantisation of four numbers at once.
// Arm, "Armv8-M Architecture Reference Manual" (DDI 0553), and the Arm C Language Extensions for the intrinsics.
// Never here: floats. Vector arithmetic on them takes subnormal numbers for zero there, whatever the control word says.
#ifndef EDGECL_KERNELS_MVE_VECTORS_H_
#define EDGECL_KERNELS_MVE_VECTORS_H_

#include <arm_mve.h>
#include <stdint.h>

#include "kernels/kernel_declarations.h"

namespace edgecl::mve {

EDGECL_MVE_KERNEL_LIST(EDGECL_DECLARE_KERNEL)

#define EDGECL_MVE __attribute__((always_inline)) static inline

// A pointer's step that the compiler keeps where it is written: so that a load before it does it on its way, and no copy of
// the pointer is made.
EDGECL_MVE void advance(const int8_t** pointer, int32_t bytes) {
  *pointer += bytes;
  __asm("" : "+r"(*pointer));
}

// Of four channels: what a sum is shifted, multiplied and shifted back with.
struct Scale {
  int32x4_t left, multiplier, right;  // right: 0 or less
};
EDGECL_MVE Scale scale_of(int32x4_t multiplier, int32x4_t shift) {
  const int32x4_t zero = vdupq_n_s32(0);
  return {vmaxq_s32(shift, zero), multiplier, vminq_s32(shift, zero)};
}

// requantize (kernels/int8.h). The doubling high product rounds as it does; the shift to the right rounds halves upwards,
// so negative numbers that are shifted go one down before it: then halves go away from zero.
EDGECL_MVE int32x4_t requantize(int32x4_t sum, const Scale& s) {
  const int32x4_t product = vqrdmulhq_s32(vshlq_s32(sum, s.left), s.multiplier);
  const int32x4_t one_down = vshrq_n_s32(vandq_s32(product, s.right), 31);
  return vrshlq_s32(vaddq_s32(product, one_down), s.right);
}

}  // namespace edgecl::mve

#endif  // EDGECL_KERNELS_MVE_VECTORS_H_
