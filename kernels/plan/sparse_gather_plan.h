// How a sparse convolution's forward pass and input gradient are cut: register tile, packed region, channel blocks of
// one pass.
// Never here: multiply-adds, packing, the weight gradient (sparse_gradient_plan.h).
#ifndef EDGECL_KERNELS_PLAN_SPARSE_GATHER_PLAN_H_
#define EDGECL_KERNELS_PLAN_SPARSE_GATHER_PLAN_H_

#include "kernels/plan/conv_axis.h"

namespace edgecl::plan {

constexpr int64_t kFirstCacheFloats = 7 * 1024;     // what a pass over the rows should touch of the packed source
constexpr int64_t kSecondCacheFloats = 112 * 1024;  // what a packed region should keep to
constexpr int kRowsAhead = 64;                      // source rows of a region that are asked for ahead

// Cells of a source row that packing reads: the first one, floats from the plane's start, and how many.
struct SourceRow {
  int32_t first, cells;
};

// 20 lanes on registers of 16 floats: 16 lanes of a position fill one, the other four of four neighbouring positions
// another. A tile is 4 x 4 positions.
constexpr int kSplitLanes = 20, kSplitRest = kSplitLanes - 16, kSplitSide = 4;
// A packed channel: 16 lanes of the positions, then the rest with a copy for each tap column.
struct SplitLayout {
  PackLayout main, rest;
  Axis rest_w;
  int64_t channel;  // floats between channels
};
SplitLayout split_layout(const Axis& h, const Axis& w, int columns);

// The forward kernel and the input gradient are one gather: target(row, i, j) = chain of value * source(channel, i, j
// shifted by the tap).
enum class GatherForm : uint8_t {
  kSplit,   // 20 lanes and registers of 16 floats
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
  // Scratch, in this order: numbers of int32, int32, float, float, float, SourceRow.
  int64_t offsets, rest_offsets, packed, spill, partial, ahead;
};
// Makes the plan and, but for pixels, gives every tap column of `w` its own copy. `h` and `w` are the largest grid that
// will be run. O(log of the grid).
GatherPlan plan_gather(const VectorShape& shape, const Axis& h, Axis* w, int lanes, const SparsePattern& pattern);

// One phase of an input gradient: blocks and taps of its pattern. A phase has a ninth to four ninths of a 3x3 kernel's
// taps, so that channel blocks are merged: a row then has enough entries in one to be worth a pass.
SparsePattern phase_shape(const SparsePattern& whole, const Axis& h, const Axis& w);

// The phase's entries, in the same order as the whole pattern's; taps are numbered as its axes count them.
struct PhaseEntries {
  uint32_t* row_start;
  uint16_t* index;
  float* value;
  int32_t* place;  // [channel_block * taps of the whole] index among the phase's taps, or -1
};
PhaseEntries take_phase_entries(const SparsePattern& whole, ScratchCursor* cursor);

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_SPARSE_GATHER_PLAN_H_
