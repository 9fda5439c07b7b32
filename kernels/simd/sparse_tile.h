// Register tile of the sparse gather: one output row (channel) held in registers over all of its stored entries.
// Never here: packing, the choice of tiles, the split of work.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_TILE_H_
#define EDGECL_KERNELS_SIMD_SPARSE_TILE_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_pack.h"
#include "kernels/simd/sparse_plan.h"

namespace edgecl::EDGECL_LEVEL {

// One tile of the target for a range of rows and of channel blocks.
struct SparseTileJob {
  const uint32_t* row_start;  // [n_blocks * rows + 1]
  const uint16_t* index;
  const float* value;
  const int32_t* offset;  // of one channel block, floats
  int64_t rows;           // of the pattern
  int64_t row_begin, row_end;
  int block_begin, block_end;
  const float* packed;  // the tile's first position in the first of these blocks
  int64_t block_floats, pitch;
  bool first, last;  // of the blocks: chains start here, chains end here
  const float* bias;
  float* spill;  // [row_end - row_begin][vectors][kVec] between the passes
  ActivationSpec activation;
  bool accumulate;
  // Target of row r: target + r * target_row. A whole tile is stored from the registers, else through `partial`.
  float* target;
  int64_t target_row, target_pitch,
      target_step;  // floats between rows of the pattern, tile rows, vectors of a tile row
  bool direct;
  float* partial;  // [vectors][kVec]
  SourceAhead* ahead;
};

constexpr int kRowsAhead = 2;  // a row's target lines are asked for while the row before the last one is computed

EDGECL_INLINE vec sparse_activate(vec x, const ActivationSpec& a) {
  if (a.kind == Activation::kRelu) return vmax(x, vzero());
  if (a.kind == Activation::kClip) return vmin(vmax(x, vset(a.lo)), vset(a.hi));
  return x;
}

// kStep: floats between the vectors of a tile row in the packed source. `store_partial(job, row)` scatters
// job.partial.
template <int kRows, int kColumns, int kStep, class StorePartial>
EDGECL_INLINE void sparse_tile(const SparseTileJob& job, StorePartial store_partial) {
  constexpr int kCount = kRows * kColumns;
  const int64_t pitch = job.pitch;
  const float* value = job.value;
  const uint16_t* index = job.index;
  const int32_t* offset = job.offset;
  for (int64_t row = job.row_begin; row < job.row_end; row++) {
    vec acc[kCount];
    float* spill = job.spill + (row - job.row_begin) * kCount * kVec;
    if (job.first) {
      const vec start = job.bias ? vset(job.bias[row]) : vzero();
      EDGECL_UNROLL
      for (int i = 0; i < kCount; i++) acc[i] = start;
    } else {
      EDGECL_UNROLL
      for (int i = 0; i < kCount; i++) acc[i] = vload(spill + i * kVec);
    }
    job.ahead->ask();
    if (job.last && job.direct) {
      const float* soon = job.target + (row + kRowsAhead) * job.target_row;
      EDGECL_UNROLL
      for (int r = 0; r < kRows; r++) EDGECL_UNROLL
      for (int c = 0; c < kColumns; c++) __builtin_prefetch(soon + r * job.target_pitch + c * job.target_step, 1);
    }
    const float* packed = job.packed;
    for (int b = job.block_begin; b < job.block_end; b++, packed += job.block_floats) {
      const uint32_t* start = job.row_start + b * job.rows + row;
      const uint32_t end = start[1];
      for (uint32_t k = start[0]; k < end; k++) {
        const float* from = packed + offset[index[k]];
        const vec weight = vset(value[k]);
        EDGECL_UNROLL
        for (int r = 0; r < kRows; r++, from += pitch) {
          keep_pointer(from);
          EDGECL_UNROLL
          for (int c = 0; c < kColumns; c++)
            acc[r * kColumns + c] = vfma(weight, vload(from + c * kStep), acc[r * kColumns + c]);
        }
      }
    }
    if (!job.last) {
      EDGECL_UNROLL
      for (int i = 0; i < kCount; i++) vstore(spill + i * kVec, acc[i]);
      continue;
    }
    if (job.activation.kind != Activation::kNone) {
      EDGECL_UNROLL
      for (int i = 0; i < kCount; i++) acc[i] = sparse_activate(acc[i], job.activation);
    }
    if (!job.direct) {
      EDGECL_UNROLL
      for (int i = 0; i < kCount; i++) vstore(job.partial + i * kVec, acc[i]);
      store_partial(job, row);
      continue;
    }
    float* to = job.target + row * job.target_row;
    if (job.accumulate) {
      EDGECL_UNROLL
      for (int r = 0; r < kRows; r++) EDGECL_UNROLL
      for (int c = 0; c < kColumns; c++)
        acc[r * kColumns + c] = vload(to + r * job.target_pitch + c * job.target_step) + acc[r * kColumns + c];
    }
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++) EDGECL_UNROLL
    for (int c = 0; c < kColumns; c++) vstore(to + r * job.target_pitch + c * job.target_step, acc[r * kColumns + c]);
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_TILE_H_
