// Register tile of the sparse gather: one output row (channel) held in registers over all of its stored entries.
// Never here: packing, the choice of tiles, the split of work.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_TILE_H_
#define EDGECL_KERNELS_SIMD_SPARSE_TILE_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_pack.h"
#include "kernels/simd/sparse_registers.h"

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
  bool streamed;   // the target goes past the caches
  float* partial;  // [vectors][kVec]
  SourceAhead* ahead;
};

// Whole cache lines of a large target go past the caches: they need not be fetched first.
#if EDGECL_VECTOR_BYTES == 64
constexpr bool kStreams = true;
EDGECL_INLINE void vstream(float* p, vec v) {
  _mm512_stream_ps(p, (__m512)v);
}
EDGECL_INLINE void end_streams() {
  _mm_sfence();
}
#else
constexpr bool kStreams = false;
EDGECL_INLINE void vstream(float* p, vec v) {
  vstore(p, v);
}
EDGECL_INLINE void end_streams() {}
#endif
constexpr int64_t kStreamedFloats = 512 * 1024;  // a target from this size on

constexpr int kTargetRowsAhead = 2;  // a row's target lines are asked for while the row before the last one is computed

EDGECL_INLINE vec sparse_activate(vec x, const ActivationSpec& a) {
  if (a.kind == Activation::kRelu) return vmax(x, vzero());
  if (a.kind == Activation::kClip) return vmin(vmax(x, vset(a.lo)), vset(a.hi));
  return x;
}

// acc += weight * the kColumns vectors of a tile row, kStep floats apart; on AArch64 `from` is moved on, and the floats
// that it was moved by are returned.
template <int kColumns, int kStep>
EDGECL_INLINE int add_tile_row(vec weight, const float*& from, vec* acc) {
#if defined(__aarch64__)
  constexpr int kMoved = kStep == kVec ? kColumns / 4 * 4 : 0;
  EDGECL_UNROLL
  for (int c = 0; c < kMoved; c += 4) {
    const vec16 x = take16(from);
    EDGECL_UNROLL
    for (int i = 0; i < 4; i++) acc[c + i] = vfma(weight, x.v[i], acc[c + i]);
  }
#else
  constexpr int kMoved = 0;
#endif
  EDGECL_UNROLL
  for (int c = kMoved; c < kColumns; c++) acc[c] = vfma(weight, vload(from + (c - kMoved) * kStep), acc[c]);
  return kMoved * kStep;
}

// kStep: floats between the vectors of a tile row in the packed source; kTargetStep: in the target, or 0:
// job.target_step. `store_partial(job, row)` scatters job.partial.
template <int kRows, int kColumns, int kStep, int kTargetStep, class StorePartial>
EDGECL_INLINE void sparse_tile(const SparseTileJob& job, StorePartial store_partial) {
  constexpr int kCount = kRows * kColumns;
  constexpr int kPrefetchStep = kTargetStep == 4 ? 4 : 1;  // one line in four vectors of 16 bytes
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
    if (job.last && job.direct && !job.streamed) {
      const int64_t target_pitch = job.target_pitch, target_step = kTargetStep ? kTargetStep : job.target_step;
      const float* soon = job.target + (row + kTargetRowsAhead) * job.target_row;
      EDGECL_UNROLL
      for (int r = 0; r < kRows; r++) EDGECL_UNROLL
      for (int c = 0; c < kColumns; c += kPrefetchStep)
        __builtin_prefetch(soon + r * target_pitch + c * target_step, 1);
    }
    const float* packed = job.packed;
    for (int b = job.block_begin; b < job.block_end; b++, packed += job.block_floats) {
      const uint32_t* start = job.row_start + b * job.rows + row;
      const uint32_t end = start[1];
      for (uint32_t k = start[0]; k < end; k++) {
        const float* from = packed + offset[index[k]];
        const vec weight = vset(value[k]);
        EDGECL_UNROLL
        for (int r = 0; r < kRows; r++) {
          keep_pointer(from);
          const int moved = add_tile_row<kColumns, kStep>(weight, from, acc + r * kColumns);
          from += pitch - moved;
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
    const int64_t target_pitch = job.target_pitch, target_step = kTargetStep ? kTargetStep : job.target_step;
    float* const to = job.target + row * job.target_row;
    if (kStreams && kTargetStep == 0 && job.streamed) {
      float* line = to;
      EDGECL_UNROLL
      for (int r = 0; r < kRows; r++, line += target_pitch) {
        keep_pointer(const_cast<const float*&>(line));
        EDGECL_UNROLL
        for (int c = 0; c < kColumns; c++) vstream(line + c * target_step, acc[r * kColumns + c]);
      }
      continue;
    }
    if (job.accumulate) {
      const float* line = to;
      EDGECL_UNROLL
      for (int r = 0; r < kRows; r++, line += target_pitch) {
        keep_pointer(line);
        EDGECL_UNROLL
        for (int c = 0; c < kColumns; c++)
          acc[r * kColumns + c] = vload(line + c * target_step) + acc[r * kColumns + c];
      }
    }
    float* line = to;
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++, line += target_pitch) {
      keep_pointer(const_cast<const float*&>(line));
      EDGECL_UNROLL
      for (int c = 0; c < kColumns; c++) vstore(line + c * target_step, acc[r * kColumns + c]);
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_TILE_H_
