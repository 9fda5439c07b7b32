// How a sparse convolution's weight gradient is cut: blocks of the contract, the region and channel blocks packed at
// once.
// Never here: multiply-adds, packing.
#ifndef EDGECL_KERNELS_PLAN_SPARSE_GRADIENT_PLAN_H_
#define EDGECL_KERNELS_PLAN_SPARSE_GRADIENT_PLAN_H_

#include "kernels/plan/sparse_gather_plan.h"

namespace edgecl::plan {

constexpr int kBlockFloats = kSparseGradientChunks * kVirtualLanes;
constexpr int kTogether = 4;  // entries whose chains run side by side, to hide the latency of an fma
constexpr int kHeld = kVirtualLanes + kTogether;
constexpr int kSide = kSparseGradientTile;
static_assert(kSparseGradientChunks == kSide * kSide && kSide == kSplitSide, "a block of 16 lanes is a tile");

enum class GradientForm : uint8_t {
  kTiles,  // a block of the contract is a tile of 4 x 4 positions
  kFlat,   // a block is a run of the flattened plane; every tap column has its own packed copy
  kBlocks  // blocks run from one group's plane into the next: every tap of every block is packed for itself
};

struct GradientPlan {
  GradientForm form;
  Axis h, w;
  PackLayout layout;
  SplitLayout split;  // kTiles of 20 lanes
  int block_floats;
  int region_blocks;  // blocks of the contract that are packed together
  int group_blocks;   // channel blocks that are packed together
  // Scratch, in this order: numbers of int32, int32, float, SourceRow, float, float.
  int64_t offsets, rest_offsets, packed, ahead, held, gathered;
};
GradientPlan plan_gradient(const SparseConvBackwardWeightArgs& a);

// Entries of the units (channel block, row) [unit_begin, unit_end). Without a selection these are the pattern's own
// arrays and the gradient's; with one they are compact copies, numbered from 0, of which only the part's own units are
// filled.
struct SelectedEntries {
  uint32_t* owned_start;
  uint16_t* owned_index;
  const uint32_t* row_start;
  const uint16_t* index;
  float* total;
  int64_t unit_begin, unit_end;
};
SelectedEntries take_entries(const SparsePattern& p, const uint8_t* selected, float* dvalue, ScratchCursor* cursor);

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_SPARSE_GRADIENT_PLAN_H_
