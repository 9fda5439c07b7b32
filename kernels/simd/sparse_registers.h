// Registers, pointers and offsets of the sparse convolutions.
// Never here: plans (plan/sparse_gather_plan.h), multiply-adds, packing.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_REGISTERS_H_
#define EDGECL_KERNELS_SIMD_SPARSE_REGISTERS_H_

#include "kernels/plan/sparse_gather_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// Accumulators of one output row: what the register file holds beside one broadcast weight.
constexpr int kSparseTile = kShape.sparse_tile, kSparseRows = kShape.sparse_rows;
// Where the batch is not 16 lanes, tiles of kSparseRows rows may be one vector wider: rows of a batch of 10 or 20 are
// multiples of 5 vectors.
constexpr int kSparseTileMost = kSparseTile + kSparseRows;
constexpr int64_t kNearFloats = 256 * 1024;  // a source up to this size is near enough not to be asked for ahead

// The pointer as one register from here on: compilers otherwise spread its sum over the unrolled loads and run out of
// registers.
EDGECL_INLINE void keep_pointer(const float*& p) {
  asm("" : "+r"(p));
}

#if defined(__aarch64__)
// 16 floats by one instruction that also moves the pointer past them.
EDGECL_INLINE vec16 take16(const float*& p) {
  const float32x4x4_t t = vld1q_f32_x4(p);
  p += 16;
  keep_pointer(p);
  return {{(vec)t.val[0], (vec)t.val[1], (vec)t.val[2], (vec)t.val[3]}};
}
#endif

// offset[channel * taps + tap] = floats from the start of a packed block to the tap's source; -1: the tap takes no
// part.
static inline void fill_offsets(const PackLayout& layout, const Axis& h, const Axis& w, int lanes, int kernel_w,
                                int taps, int channel_block, int32_t* offset) {
  for (int i = 0; i < channel_block * taps; i++) offset[i] = -1;
  for (int mh = 0; mh < h.count; mh++)
    for (int mw = 0; mw < w.count; mw++) {
      const int tap = (h.tap_first + mh * h.tap_step) * kernel_w + w.tap_first + mw * w.tap_step;
      const int64_t at = tap_offset(layout, h, w, lanes, mh, mw);
      for (int c = 0; c < channel_block; c++) offset[c * taps + tap] = static_cast<int32_t>(c * layout.channel + at);
    }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_REGISTERS_H_
