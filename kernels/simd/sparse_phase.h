// One output phase of a strided sparse input gradient as a pattern of its own: the entries whose tap takes part.
// Never here: the gather over it.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_PHASE_H_
#define EDGECL_KERNELS_SIMD_SPARSE_PHASE_H_

#include "kernels/plan/sparse_gather_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// Copies the entries that take part, renumbered, and returns how many. Each is written and kept by the step: there is
// no branch to mispredict. Not inlined: the loop needs its registers.
static __attribute__((noinline)) uint32_t keep_entries(const uint16_t* index, const float* value, uint32_t count,
                                                       const int32_t* place, int32_t first, uint16_t* to_index,
                                                       float* to_value) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < count; k++) {
    const int32_t at = place[index[k]];
    to_index[n] = static_cast<uint16_t>(first + at);
    to_value[n] = value[k];
    n += ~static_cast<uint32_t>(at) >> 31;
  }
  return n;
}

// Fills `e` and points `phase`, of phase_shape, to it.
static inline void select_phase(const SparsePattern& whole, const float* value, const Axis& h, const Axis& w,
                                int kernel_w, const PhaseEntries& e, SparsePattern* phase) {
  const int taps = phase->taps, merge = phase->channel_block / whole.channel_block;
  for (int i = 0; i < whole.channel_block * whole.taps; i++) e.place[i] = -1;
  for (int m = 0; m < taps; m++) {
    const int tap = (h.tap_first + m / w.count * h.tap_step) * kernel_w + w.tap_first + m % w.count * w.tap_step;
    for (int c = 0; c < whole.channel_block; c++) e.place[c * whole.taps + tap] = c * taps + m;
  }
  uint32_t n = 0;
  uint32_t* start = e.row_start;
  for (int b = 0; b < whole.n_blocks; b += merge)
    for (int64_t row = 0; row < whole.rows; row++) {
      *start++ = n;
      for (int i = b; i < b + merge && i < whole.n_blocks; i++) {
        const uint32_t* from = whole.row_start + i * static_cast<int64_t>(whole.rows) + row;
        n += keep_entries(whole.index + from[0], value + from[0], from[1] - from[0], e.place,
                          (i - b) * whole.channel_block * taps, e.index + n, e.value + n);
      }
    }
  *start = n;
  phase->row_start = e.row_start;
  phase->index = e.index;
  phase->nnz = n;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_PHASE_H_
