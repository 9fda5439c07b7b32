// How a sparse convolution is cut: register tile, packed region, channel blocks of one pass.
// Never here: multiply-adds, and packing itself (conv_pack.h).
#ifndef EDGECL_KERNELS_SIMD_SPARSE_PLAN_H_
#define EDGECL_KERNELS_SIMD_SPARSE_PLAN_H_

#include "kernels/kernels.h"
#include "kernels/simd/conv_pack.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// Accumulators of one output row: what the register file holds beside one broadcast weight.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kSparseTile = 16, kSparseRows = 4;
#else
constexpr int kSparseTile = 8, kSparseRows = 2;
#endif
// Where the batch is not 16 lanes, tiles of kSparseRows rows may be one vector wider: rows of a batch of 10 or 20 are
// multiples of 5 vectors.
constexpr int kSparseTileMost = kSparseTile + kSparseRows;
constexpr int64_t kFirstCacheFloats = 7 * 1024;     // what a pass over the rows should touch of the packed source
constexpr int64_t kSecondCacheFloats = 112 * 1024;  // what a packed region should keep to
constexpr int64_t kNearFloats = 256 * 1024;         // a source up to this size is near enough not to be asked for ahead

// The forward kernel and the input gradient are one gather: target(row, i, j) = chain of value * source(channel, i, j
// shifted by the tap).
enum class GatherForm : uint8_t {
  kSplit,   // 20 lanes and registers of 16 floats: sparse_split.h
  kPixels,  // a tile is rows x columns of positions with 16 lanes each, a vector never leaves its position; more lanes
            // are taken 16 at a time
  kRows,    // any lanes: a tile is rows x vectors; each tap column has its own packed copy, so that vectors run along a
            // row of the region
  kFlat     // the same copies; a tile is a run of vectors over the flattened region, rows without a gap
};
struct GatherPlan {
  GatherForm form;
  int lanes;                    // of a packed position
  int lane_groups;              // kPixels: the batch's lanes are taken in so many turns
  int tile_rows, tile_columns;  // positions; kRows: rows and vectors
  int region_rows, region_columns;
  int group_blocks;  // channel blocks that one pass over the rows takes
  bool pack_all;  // all channels of a region are packed before its tiles; else a group at a time (then a region is one
                  // tile)
};

// Floats of one channel that a tile of the plan reads, about.
static inline int64_t tile_floats(const Axis& h, const Axis& w, int rows, int columns, int lanes) {
  return pack_layout(h, w, rows, columns, lanes).channel;
}

static inline int limit(int64_t v, int64_t lo, int64_t hi) {
  return static_cast<int>(v < lo ? lo : v > hi ? hi : v);
}

// Makes the plan and, but for pixels, gives every tap column of `w` its own copy. `h` and `w` are the largest grid that
// will be run.
static inline GatherPlan plan_gather(const Axis& h, Axis* w, int lanes, int channels, int channel_block) {
  GatherPlan p = {};
  p.lanes = lanes;
  p.lane_groups = 1;
  const int n_blocks = (channels + channel_block - 1) / channel_block;
  const int64_t row_floats = static_cast<int64_t>(w->out) * lanes, row_vectors = (row_floats + kVec - 1) / kVec;
  const int64_t flat_vectors = (h.out * row_floats + kVec - 1) / kVec;
  if (kVec == 16 && lanes == 20 && (h.out + 3) / 4 * ((w->out + 3) / 4) * 64 <= h.out * w->out * 5) {
    p.form = GatherForm::kSplit;
    p.tile_rows = p.tile_columns = p.region_rows = p.region_columns = 4;
    p.group_blocks = limit(kFirstCacheFloats * 2 / (tile_floats(h, *w, 4, 4, 16) * 3 * channel_block), 1, n_blocks);
    return p;
  }
  int rows = 1, columns = 1;  // positions of a tile
  int64_t best = -1;
  const int lane_groups = (lanes + 15) / 16;
  for (int r = 4; r >= 1 && lanes >= 16; r -= 3) {
    const int c = kSparseTile / r;
    const int64_t cost = static_cast<int64_t>((h.out + r - 1) / r) * ((w->out + c - 1) / c);
    if (best >= 0 && cost >= best) continue;
    best = cost;
    rows = r;
    columns = c;
  }
  // The flat form reads more cells per channel, so that it must save a fifth of the vectors.
  p.form = lanes == 16 && best * kSparseTile * kParts * 4 <= flat_vectors * 5 ? GatherForm::kPixels : GatherForm::kFlat;
  // Tiles of vectors that do not end where a position ends would each need all columns of their rows packed.
  if (lanes > 16 && (kSparseTile / kSparseRows * kVec) % lanes != 0 &&
      ((kSparseTile / kSparseRows + 1) * kVec) % lanes != 0 &&
      best * kSparseTile * kParts * lane_groups * 2 <= flat_vectors * 3) {
    p.form = GatherForm::kPixels;
    p.lanes = lanes = 16;
    p.lane_groups = lane_groups;
  }
  p.tile_rows = rows;
  p.tile_columns = columns;
  if (p.form != GatherForm::kPixels) {
    separate_phases(w);
    for (int c = kSparseTile / kSparseRows + 1; c >= kSparseTile / kSparseRows; c--) {
      const int64_t vectors = (h.out + kSparseRows - 1) / kSparseRows * kSparseRows * ((row_vectors + c - 1) / c * c);
      if (p.form == GatherForm::kRows || vectors * 8 > flat_vectors * 9) continue;
      p.form = GatherForm::kRows;
      p.tile_rows = rows = kSparseRows;
      p.tile_columns = c;
      columns = c * kVec % lanes == 0 ? c * kVec / lanes : w->out;
    }
  }
  if (p.form == GatherForm::kFlat) {  // a piece of a row, or as many whole rows as a tile holds
    const int64_t tile_positions = kSparseTile * kVec / lanes;
    p.tile_columns = columns = limit(tile_positions, 1, w->out);
    p.tile_rows = rows = limit(tile_positions / w->out, 1, h.out);
  }
  const int64_t tile = tile_floats(h, *w, rows, columns, lanes);
  p.group_blocks = limit(kFirstCacheFloats / (tile * channel_block), 1, n_blocks);
  p.region_rows = rows;
  p.region_columns = columns;
  // A large tile repacks little of its border and finds the packed block in the first cache; what comes next is asked
  // for meanwhile. A small one shares a larger region, packed once.
  const bool tile_by_tile = p.form == GatherForm::kPixels && kSparseTile >= 16;
  p.pack_all = n_blocks == 1 || (!tile_by_tile && tile * channels <= kSecondCacheFloats);
  if (!p.pack_all) return p;
  const int64_t budget = kSecondCacheFloats / channels;
  while (p.region_columns < w->out && tile_floats(h, *w, p.region_rows, p.region_columns + columns, lanes) <= budget)
    p.region_columns += columns;
  if (p.region_columns < w->out) return p;
  while (p.region_rows < h.out && tile_floats(h, *w, p.region_rows + rows, p.region_columns, lanes) <= budget)
    p.region_rows += rows;
  return p;
}

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

// Hands out 64-byte aligned pieces of a part's scratch memory; with a null base it only counts.
struct ScratchCursor {
  char* base;
  size_t used;
  template <class T>
  T* take(int64_t n) {
    T* p = base ? reinterpret_cast<T*>(base + used) : nullptr;
    used += (static_cast<size_t>(n) * sizeof(T) + 63) / 64 * 64;
    return p;
  }
};

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

#endif  // EDGECL_KERNELS_SIMD_SPARSE_PLAN_H_
