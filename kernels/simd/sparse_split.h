// Sparse gather for 20 lanes on 16-float registers: 16 lanes of a position fill one register, the other four lanes of
// four neighbouring positions another, so that nothing is padded and no load crosses a cache line.
// Never here: other lane counts, the choice of form, the split of work.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_SPLIT_H_
#define EDGECL_KERNELS_SIMD_SPARSE_SPLIT_H_

#include "kernels/kernels.h"
#include "kernels/simd/conv_pack.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_pack.h"
#include "kernels/simd/sparse_plan.h"
#include "kernels/simd/sparse_tile.h"

namespace edgecl::EDGECL_LEVEL {

constexpr int kSplitLanes = 20, kSplitRest = kSplitLanes - 16, kSplitSide = 4;  // tile: 4 x 4 positions
static_assert(kSplitSide * (kSplitSide + 1) <= kSparseTileMost || kVec < 16, "spill and partial tiles have room");

// A packed channel: 16 lanes of the positions as pack_plane16 lays them out, then the rest with a copy for each tap
// column.
struct SplitLayout {
  PackLayout main, rest;
  Axis rest_w;
  int64_t channel;  // floats between channels
};
static inline SplitLayout split_layout(const Axis& h, const Axis& w, int columns) {
  SplitLayout s;
  s.rest_w = w;
  separate_phases(&s.rest_w);
  s.main = pack_layout(h, w, kSplitSide, columns, 16);
  s.rest = pack_layout(h, s.rest_w, kSplitSide, columns, kSplitRest);
  s.channel = s.main.channel + s.rest.channel;
  return s;
}

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

// `copy(to, from)` and `clear(to)` handle one position of a packed strip.
template <class Copy, class Clear>
EDGECL_INLINE void pack_positions(const PackLayout& layout, const Axis& h, const Axis& w, const float* plane,
                                  int height, int width, int row, int column, int columns, Copy copy, Clear clear) {
  for (int cw = 0; cw < w.classes; cw++) {
    const PackColumns c = pack_columns(w, cw, column, columns, width);
    for (int ch = 0; ch < h.classes; ch++) {
      int source = h.class_start(ch) + row * h.step;
      for (int i = 0; i < layout.class_rows; i++, source += h.step) {
        const bool outside = source < 0 || source >= height;
        const int low = outside ? columns : c.low, high = outside ? columns : c.high;
        const float* from = plane + (static_cast<int64_t>(source) * width + c.first) * kSplitLanes;
        int j = 0;
        for (; j < low; j++) clear();
        for (; j < high; j++) copy(from + static_cast<int64_t>(j) * w.step * kSplitLanes);
        for (; j < columns; j++) clear();
      }
    }
  }
}

#if EDGECL_VECTOR_BYTES == 64
typedef float octet __attribute__((vector_size(32), may_alias));

// The rest of a packed channel where three tap columns are neighbours: six quads of a row make four of its three
// copies.
EDGECL_INLINE void pack_rest3(const SplitLayout& s, const Axis& h, const Axis& w, const float* plane, int height,
                              int width, int row, int column, float* to) {
  const int begin = w.start + (w.delta < 0 ? 2 * w.delta : 0) + column;
  for (int ch = 0; ch < h.classes; ch++) {
    int source = h.class_start(ch) + row * h.step;
    for (int i = 0; i < s.rest.class_rows; i++, source += h.step)
      for (int first = begin; first < begin + s.rest.columns; first += kSplitSide, to += 16) {
        quad q[6];
        EDGECL_UNROLL
        for (int j = 0; j < 6; j++) {
          const int c = first + j;
          const bool inside = source >= 0 && source < height && c >= 0 && c < width;
          q[j] = inside ? load_quad(plane + (static_cast<int64_t>(source) * width + c) * kSplitLanes) : quad{};
        }
        octet pair[3];
        EDGECL_UNROLL
        for (int j = 0; j < 3; j++) pair[j] = __builtin_shufflevector(q[2 * j], q[2 * j + 1], 0, 1, 2, 3, 4, 5, 6, 7);
        const vec a = __builtin_shufflevector(pair[0], pair[1], 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const vec c = __builtin_shufflevector(pair[1], pair[2], 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const vec b = __builtin_shufflevector(a, c, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27);
        vstore(to, w.delta < 0 ? c : a);
        vstore(to + s.rest.column_class, b);
        vstore(to + 2 * s.rest.column_class, w.delta < 0 ? a : c);
      }
  }
}
#endif

static inline void pack_split(const SplitLayout& s, const Axis& h, const Axis& w, const Tensor& shape,
                              const float* source, int row, int column, int64_t begin, int64_t end, float* packed) {
  const int columns = static_cast<int>(s.main.pitch / 16);
  for (int64_t c = begin; c < end; c++, packed += s.channel) {
    const float* plane = source + c * shape.plane();
    float* to = packed;
    pack_positions(
        s.main, h, w, plane, shape.height, shape.width, row, column, columns,
        [&](const float* from) __attribute__((always_inline)) {
          store16(to, load16(from));
          to += 16;
        },
        [&]() __attribute__((always_inline)) {
          store16(to, zero16());
          to += 16;
        });
    to = packed + s.main.channel;
#if EDGECL_VECTOR_BYTES == 64
    if (w.count == 3 && w.step == 1 && (w.delta == 1 || w.delta == -1)) {
      pack_rest3(s, h, w, plane + 16, shape.height, shape.width, row, column, to);
      continue;
    }
#endif
    pack_positions(
        s.rest, h, s.rest_w, plane + 16, shape.height, shape.width, row, column, s.rest.columns,
        [&](const float* from) __attribute__((always_inline)) {
          store_quad(to, load_quad(from));
          to += kSplitRest;
        },
        [&]() __attribute__((always_inline)) {
          store_quad(to, quad{});
          to += kSplitRest;
        });
  }
}

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
