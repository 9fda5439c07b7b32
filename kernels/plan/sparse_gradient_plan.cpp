// Plan and scratch memory of the sparse convolution's weight gradient; the same for all levels but the scalar one.
// Never here: the gradient.
#include "kernels/plan/sparse_gradient_plan.h"

namespace edgecl::plan {
namespace {

constexpr int64_t kBandFloats = 192 * 1024;  // what a packed band and its dY should keep to

void plan_tiles(const SparseConvBackwardWeightArgs& a, GradientPlan* plan) {
  const SparsePattern& p = a.pattern;
  plan->form = GradientForm::kTiles;
  plan->block_floats = kSide * kSide * a.dy.lanes;
  plan->region_blocks = a.dy.width / kSide;
  // Halved while it is even and the band too large: 31 times are enough for any width.
  for (int i = 0; i < 31; i++) {
    const int columns = plan->region_blocks * kSide;
    plan->layout = pack_layout(plan->h, plan->w, kSide, columns, 16);
    if (a.dy.lanes == kSplitLanes) {
      plan->split = split_layout(plan->h, plan->w, columns);
      plan->layout.channel = plan->split.channel;
    }
    const int64_t floats = plan->layout.channel * p.channel_block +
                           static_cast<int64_t>(plan->region_blocks) * p.rows * plan->block_floats;
    if (plan->region_blocks % 2 != 0 || floats <= kBandFloats) return;
    plan->region_blocks /= 2;
  }
}

// Rows that `floats` floats of a plane can touch, wherever they begin.
int64_t rows_touched(int64_t floats, const RowClass& row_floats) {
  const bool whole = row_floats.low == row_floats.high && floats % row_floats.low == 0;
  return whole ? floats / row_floats.low : (floats + row_floats.low - 2) / row_floats.low + 1;
}

// The fewest packed floats per block that the cache has room for; regions of whole rows do best.
void plan_flat(const SparseConvBackwardWeightArgs& a, GradientPlan* plan) {
  const RowClass lanes = row_class(a.dy.lanes);
  const RowClass row_floats = {a.dy.width * lanes.low, a.dy.width * lanes.high};
  const int64_t plane_blocks = (a.dy.height * row_floats.low + kBlockFloats - 1) / kBlockFloats;
  plan->form = GradientForm::kFlat;
  separate_phases(&plan->w);
  int64_t most = 0;  // packed floats of a channel, of the class's largest
  for (int64_t blocks = 1; blocks <= 64 && blocks <= plane_blocks; blocks++) {
    const int rows = limit(rows_touched(blocks * kBlockFloats, row_floats), 1, a.dy.height);
    const int64_t channel = pack_layout(plan->h, plan->w, rows, a.dy.width, lanes.high).channel;
    if (blocks > 1 && channel * a.pattern.channel_block > kSecondCacheFloats + kSecondCacheFloats / 2) break;
    if (blocks > 1 && channel * plan->region_blocks >= most * blocks) continue;
    plan->region_blocks = static_cast<int>(blocks);
    plan->layout = pack_layout(plan->h, plan->w, rows, a.dy.width, a.dy.lanes);
    most = channel;
  }
  plan->packed = most;
}

}  // namespace

GradientPlan plan_gradient(const SparseConvBackwardWeightArgs& a) {
  const ConvShape& s = a.shape;
  const SparsePattern& p = a.pattern;
  GradientPlan plan = {};
  plan.h = forward_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.dy.height);
  plan.w = forward_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.dy.width);
  plan.block_floats = kBlockFloats;
  plan.region_blocks = 1;
  int64_t channel = 0;  // packed floats
  if (sparse_gradient_tiles(a.dy)) {
    plan_tiles(a, &plan);
    channel = plan.layout.channel;
  } else if (a.dy.groups > 1 && a.dy.plane() % kBlockFloats != 0) {
    plan.form = GradientForm::kBlocks;
    channel = plan.layout.channel = static_cast<int64_t>(p.taps) * kBlockFloats;
  } else {
    plan_flat(a, &plan);
    channel = plan.packed;
  }
  plan.group_blocks = limit(kFirstCacheFloats / (channel / plan.region_blocks * p.channel_block), 1, p.n_blocks);
  plan.offsets = static_cast<int64_t>(p.channel_block) * p.taps;
  plan.rest_offsets = plan.block_floats > kBlockFloats ? plan.offsets : 0;
  plan.packed = static_cast<int64_t>(plan.group_blocks) * p.channel_block * channel + kBlockFloats;
  plan.ahead = kRowsAhead;
  plan.held = kHeld * kVirtualLanes;
  if (plan.form != GradientForm::kFlat)
    plan.gathered = plan.region_blocks * static_cast<int64_t>(p.rows) * plan.block_floats + kBlockFloats;
  return plan;
}

SelectedEntries take_entries(const SparsePattern& p, const uint8_t* selected, float* dvalue, ScratchCursor* cursor) {
  SelectedEntries e = {};
  e.row_start = p.row_start;
  e.index = p.index;
  e.total = dvalue;
  if (!selected) return e;
  e.row_start = e.owned_start = cursor->take<uint32_t>(static_cast<int64_t>(p.n_blocks) * p.rows + 1);
  e.index = e.owned_index = cursor->take<uint16_t>(p.nnz + 1ll);
  e.total = cursor->take<float>(p.nnz + 1ll);
  return e;
}

}  // namespace edgecl::plan

namespace edgecl {

using namespace plan;

uint64_t ScratchTable::sparse_conv_backward_weight_scratch_bytes(const SparseConvBackwardWeightArgs& a) const {
  if (tiled.floats == 1) return 0;
  const GradientPlan p = plan_gradient(a);
  ScratchCursor cursor = {nullptr, 0};
  cursor.take<int32_t>(p.offsets);
  cursor.take<int32_t>(p.rest_offsets);
  cursor.take<float>(p.packed);
  cursor.take<SourceRow>(p.ahead);
  cursor.take<float>(p.held);
  cursor.take<float>(p.gathered);
  take_entries(a.pattern, a.selected, a.dvalue, &cursor);
  return cursor.used;
}

}  // namespace edgecl
