// One output phase of a strided sparse input gradient as a pattern of its own: the entries whose tap takes part.
// Never here: the gather over it.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_PHASE_H_
#define EDGECL_KERNELS_SIMD_SPARSE_PHASE_H_

#include "kernels/kernels.h"
#include "kernels/simd/conv_pack.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_plan.h"

namespace edgecl::EDGECL_LEVEL {

// The phase's entries, in the same order; taps are numbered as its axes count them. A phase has a ninth to four ninths
// of a 3x3 kernel's taps, so that channel blocks are merged: a row then has enough entries in one to be worth a pass.
struct PhaseEntries {
  uint32_t* row_start;
  uint16_t* index;
  float* value;
  int32_t* place;  // [channel_block * taps of the whole] index among the phase's taps, or -1
};
static inline PhaseEntries take_phase_entries(const SparsePattern& whole, ScratchCursor* cursor) {
  PhaseEntries e;
  e.row_start = cursor->take<uint32_t>(static_cast<int64_t>(whole.n_blocks) * whole.rows + 1);
  e.index = cursor->take<uint16_t>(whole.nnz + 1ll);
  e.value = cursor->take<float>(whole.nnz + 1ll);
  e.place = cursor->take<int32_t>(static_cast<int64_t>(whole.channel_block) * whole.taps);
  return e;
}

// Blocks and taps of the phase's pattern; the entries follow in select_phase.
static inline SparsePattern phase_shape(const SparsePattern& whole, const Axis& h, const Axis& w) {
  const int taps = h.count * w.count;
  int merge = whole.n_blocks;
  if (taps > 0) {
    // The merged block may be a few times the first cache: less than that is lost by a pass for a few entries.
    const int64_t near = 3 * kFirstCacheFloats / (tile_floats(h, w, 4, 4, 16) * whole.channel_block);
    const int64_t most = 65536 / (static_cast<int64_t>(whole.channel_block) * whole.taps);
    merge = limit(limit(near, 1, whole.taps / taps), 1, most < whole.n_blocks ? most : whole.n_blocks);
  }
  SparsePattern p = whole;
  p.channel_block *= merge;
  p.n_blocks = (whole.n_blocks + merge - 1) / merge;
  p.taps = taps;
  return p;
}

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
