// Sparse gather for 20 lanes on 16-float registers: 16 lanes of a position fill one register, the other four lanes of
// four neighbouring positions another, so that nothing is padded and no load crosses a cache line.
// Never here: other lane counts, the choice of form, the split of work.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_SPLIT_H_
#define EDGECL_KERNELS_SIMD_SPARSE_SPLIT_H_

#include "kernels/kernels.h"
#include "kernels/simd/conv_pack.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_pack.h"
#include "kernels/simd/sparse_registers.h"
#include "kernels/simd/sparse_tile.h"

namespace edgecl::EDGECL_LEVEL {

static_assert(kSplitSide * (kSplitSide + 1) <= kSparseTileMost || kVec < 16, "spill and partial tiles have room");

// offset as fill_offsets, of the 16 lanes; rest likewise, of the other four.
static inline void fill_split_offsets(const SplitLayout& s, const Axis& h, const Axis& w, int kernel_w, int taps,
                                      bool numbered, int channel_block, int32_t* offset, int32_t* rest) {
  for (int mh = 0; mh < h.count; mh++)
    for (int mw = 0; mw < w.count; mw++) {
      const int tap =
          numbered ? mh * w.count + mw : (h.tap_first + mh * h.tap_step) * kernel_w + w.tap_first + mw * w.tap_step;
      const int64_t main = tap_offset(s.main, h, w, 16, mh, mw);
      const int64_t other = s.main.channel + tap_offset(s.rest, h, s.rest_w, kSplitRest, mh, mw);
      for (int c = 0; c < channel_block; c++) {
        offset[c * taps + tap] = static_cast<int32_t>(c * s.channel + main);
        rest[c * taps + tap] = static_cast<int32_t>(c * s.channel + other);
      }
    }
}

typedef float quad __attribute__((vector_size(16), may_alias));
EDGECL_INLINE quad load_quad(const float* p) {
  quad q;
  memcpy(&q, p, sizeof q);
  return q;
}
EDGECL_INLINE void store_quad(float* p, quad q) {
  memcpy(p, &q, sizeof q);
}

// Channels [begin, end) of the source planes at `source` (of channel 0).
void pack_split(const SplitLayout& s, const Axis& h, const Axis& w, const Tensor& shape, const float* source, int row,
                int column, int64_t begin, int64_t end, float* packed);

#if EDGECL_VECTOR_BYTES == 64

// The job's tile of 4 x 4 positions, `rows` x `columns` of which exist; rest: offsets of the four lanes.
// target_pitch and target_step of the job are those of rows and positions.
__attribute__((noinline, unused)) static void split_tile(const SparseTileJob& job, const int32_t* rest, int rows,
                                                         int columns) {
  constexpr int kMain = kSplitSide * kSplitSide, kAll = kMain + kSplitSide;
  const int64_t pitch = job.pitch;
  const float* value = job.value;
  const uint16_t* index = job.index;
  const int32_t* offset = job.offset;
  for (int64_t row = job.row_begin; row < job.row_end; row++) {
    vec acc[kAll];
    float* spill = job.spill + (row - job.row_begin) * kAll * kVec;
    if (job.first) {
      const vec start = job.bias ? vset(job.bias[row]) : vzero();
      EDGECL_UNROLL
      for (int i = 0; i < kAll; i++) acc[i] = start;
    } else {
      EDGECL_UNROLL
      for (int i = 0; i < kAll; i++) acc[i] = vload(spill + i * kVec);
    }
    const float* packed = job.packed;
    for (int b = job.block_begin; b < job.block_end; b++, packed += job.block_floats) {
      const uint32_t* start = job.row_start + b * job.rows + row;
      const uint32_t end = start[1];
      for (uint32_t k = start[0]; k < end; k++) {
        const float* from = packed + offset[index[k]];
        const float* other = packed + rest[index[k]];
        const vec weight = vset(value[k]);
        EDGECL_UNROLL
        for (int r = 0; r < kSplitSide; r++, from += pitch) {
          keep_pointer(from);
          EDGECL_UNROLL
          for (int c = 0; c < kSplitSide; c++)
            acc[r * kSplitSide + c] = vfma(weight, vload(from + c * 16), acc[r * kSplitSide + c]);
        }
        EDGECL_UNROLL
        for (int r = 0; r < kSplitSide; r++) acc[kMain + r] = vfma(weight, vload(other + r * 16), acc[kMain + r]);
      }
    }
    if (!job.last) {
      EDGECL_UNROLL
      for (int i = 0; i < kAll; i++) vstore(spill + i * kVec, acc[i]);
      continue;
    }
    if (job.activation.kind != Activation::kNone) {
      EDGECL_UNROLL
      for (int i = 0; i < kAll; i++) acc[i] = sparse_activate(acc[i], job.activation);
    }
    float* to = job.target + row * job.target_row;
    const int64_t step = job.target_step;
    if (rows == kSplitSide && columns == kSplitSide) {
      EDGECL_UNROLL
      for (int r = 0; r < kSplitSide; r++) {
        float* line = to + r * job.target_pitch;
        keep_pointer(const_cast<const float*&>(line));
        EDGECL_UNROLL
        for (int c = 0; c < kSplitSide; c++) {
          const vec v = acc[r * kSplitSide + c];
          vstore(line + c * step, job.accumulate ? vload(line + c * step) + v : v);
        }
        const vec v = acc[kMain + r];
        const quad quads[kSplitSide] = {
            __builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7),
            __builtin_shufflevector(v, v, 8, 9, 10, 11), __builtin_shufflevector(v, v, 12, 13, 14, 15)};
        EDGECL_UNROLL
        for (int c = 0; c < kSplitSide; c++) {
          float* end = line + c * step + 16;
          store_quad(end, job.accumulate ? load_quad(end) + quads[c] : quads[c]);
        }
      }
      continue;
    }
    EDGECL_UNROLL
    for (int i = 0; i < kAll; i++) vstore(job.partial + i * kVec, acc[i]);
    for (int r = 0; r < rows; r++)
      for (int c = 0; c < columns; c++) {
        float* position = to + r * job.target_pitch + c * step;
        const float* from = job.partial + (r * kSplitSide + c) * 16;
        const float* other = job.partial + (kMain + r) * 16 + c * kSplitRest;
        vstore(position, job.accumulate ? vload(position) + vload(from) : vload(from));
        store_quad(position + 16, job.accumulate ? load_quad(position + 16) + load_quad(other) : load_quad(other));
      }
  }
}

#endif

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_SPLIT_H_
