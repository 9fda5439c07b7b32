// Plan and scratch memory of the sparse convolution's forward pass and input gradient.
// Never here: the gather.
#include "kernels/plan/sparse_gather_plan.h"

namespace edgecl::plan {
namespace {

// Floats of one channel that a tile of the plan reads, about.
int64_t tile_floats(const Axis& h, const Axis& w, int rows, int columns, int64_t lanes) {
  return pack_layout(h, w, rows, columns, lanes).channel;
}

// The largest of step, 2 * step, .. that is not `enough` yet one more step would do, while fits(it) holds: fits holds
// up to some size and no further. O(log(enough / step)).
template <class Fits>
int grow_steps(int step, int enough, Fits fits) {
  int64_t low = 1, high = (static_cast<int64_t>(enough) + step - 1) / step;  // steps; `low` is taken in any case
  for (int i = 0; i < 32 && low < high; i++) {
    const int64_t middle = (low + high + 1) / 2;
    if (fits(static_cast<int>(middle * step)))
      low = middle;
    else
      high = middle - 1;
  }
  return static_cast<int>(low * step);
}

// The tile, and with it the form.
void choose_form(const VectorShape& shape, const Axis& h, Axis* w, int64_t lanes, GatherPlan* p, int* rows,
                 int* columns) {
  const int kVec = shape.floats, parts = 16 / kVec;
  const int64_t row_floats = w->out * lanes, row_vectors = (row_floats + kVec - 1) / kVec;
  const int64_t flat_vectors = (h.out * row_floats + kVec - 1) / kVec;
  int64_t best = -1;
  const int64_t lane_groups = (lanes + 15) / 16;
  for (int r = 4; r >= 1 && lanes >= 16; r -= 3) {
    const int c = shape.sparse_tile / r;
    const int64_t cost = static_cast<int64_t>((h.out + r - 1) / r) * ((w->out + c - 1) / c);
    if (best >= 0 && cost >= best) continue;
    best = cost;
    *rows = r;
    *columns = c;
  }
  // The flat form reads more cells per channel, so that it must save a fifth of the vectors.
  p->form =
      lanes == 16 && best * shape.sparse_tile * parts * 4 <= flat_vectors * 5 ? GatherForm::kPixels : GatherForm::kFlat;
  // Tiles of vectors that do not end where a position ends would each need all columns of their rows packed.
  const int narrow = shape.sparse_tile / shape.sparse_rows;  // vectors of a tile of kRows, or one more
  if (lanes > 16 && (narrow * kVec) % lanes != 0 && ((narrow + 1) * kVec) % lanes != 0 &&
      best * shape.sparse_tile * parts * lane_groups * 2 <= flat_vectors * 3) {
    p->form = GatherForm::kPixels;
    p->lane_groups = static_cast<int>(lane_groups);
  }
  p->tile_rows = *rows;
  p->tile_columns = *columns;
  if (p->form == GatherForm::kPixels) return;
  separate_phases(w);
  const int tall = shape.sparse_rows;
  for (int c = narrow + 1; c >= narrow; c--) {
    const int64_t vectors = (h.out + tall - 1) / tall * tall * ((row_vectors + c - 1) / c * c);
    if (p->form == GatherForm::kRows || vectors * 8 > flat_vectors * 9) continue;
    p->form = GatherForm::kRows;
    p->tile_rows = *rows = tall;
    p->tile_columns = c;
    *columns = c * kVec % lanes == 0 ? static_cast<int>(c * kVec / lanes) : w->out;
  }
  if (p->form != GatherForm::kFlat) return;
  // A piece of a row, or as many whole rows as a tile holds.
  const int64_t tile_positions = shape.sparse_tile * kVec / lanes;
  p->tile_columns = *columns = limit(tile_positions, 1, w->out);
  p->tile_rows = *rows = limit(tile_positions / w->out, 1, h.out);
}

// How much is packed at once, for tiles of rows x columns positions.
void cut_region(const VectorShape& shape, const Axis& h, const Axis& w, int64_t lanes, const SparsePattern& pattern,
                int rows, int columns, GatherPlan* p) {
  const int n_blocks = (pattern.channels + pattern.channel_block - 1) / pattern.channel_block;
  const int64_t tile = tile_floats(h, w, rows, columns, lanes);
  p->group_blocks = limit(kFirstCacheFloats / (tile * pattern.channel_block), 1, n_blocks);
  p->region_rows = rows;
  p->region_columns = columns;
  // A large tile repacks little of its border and finds the packed block in the first cache; what comes next is asked
  // for meanwhile. A small one shares a larger region, packed once.
  const bool tile_by_tile = p->form == GatherForm::kPixels && shape.sparse_tile >= 16;
  p->pack_all = n_blocks == 1 || (!tile_by_tile && tile * pattern.channels <= kSecondCacheFloats);
  if (!p->pack_all) return;
  const int64_t budget = kSecondCacheFloats / pattern.channels;
  if (columns < w.out)
    p->region_columns = grow_steps(columns, w.out, [&](int c) { return tile_floats(h, w, rows, c, lanes) <= budget; });
  if (p->region_columns < w.out || rows >= h.out) return;
  p->region_rows =
      grow_steps(rows, h.out, [&](int r) { return tile_floats(h, w, r, p->region_columns, lanes) <= budget; });
}

// Pieces of scratch, in which packed positions have `lanes` lanes.
void measure(const VectorShape& shape, const Axis& h, const Axis& w, int64_t lanes, const SparsePattern& pattern,
             GatherPlan* p) {
  const bool split = p->form == GatherForm::kSplit;
  const int64_t channel = split ? split_layout(h, w, kSplitSide).channel
                                : pack_layout(h, w, p->region_rows, p->region_columns, lanes).channel;
  const int64_t group = static_cast<int64_t>(p->group_blocks) * pattern.channel_block;
  const int64_t most_floats = static_cast<int64_t>(shape.sparse_tile + shape.sparse_rows) * shape.floats;  // of a tile
  p->offsets = static_cast<int64_t>(pattern.channel_block) * pattern.taps;
  p->rest_offsets = split ? p->offsets : 0;
  p->packed = (p->pack_all || group > pattern.channels ? pattern.channels : group) * channel + most_floats;
  const int64_t spills = p->form == GatherForm::kPixels ? 16 / shape.floats : 1;
  p->spill = p->group_blocks < pattern.n_blocks ? spills * pattern.rows * most_floats : 0;
  p->partial = most_floats;
  p->ahead = kRowsAhead;
}

}  // namespace

SplitLayout split_layout(const Axis& h, const Axis& w, int columns) {
  SplitLayout s;
  s.rest_w = w;
  separate_phases(&s.rest_w);
  s.main = pack_layout(h, w, kSplitSide, columns, 16);
  s.rest = pack_layout(h, s.rest_w, kSplitSide, columns, kSplitRest);
  s.channel = s.main.channel + s.rest.channel;
  return s;
}

GatherPlan plan_gather(const VectorShape& shape, const Axis& h, Axis* w, int lanes, const SparsePattern& pattern) {
  GatherPlan p = {};
  p.lanes = lanes;
  p.lane_groups = 1;
  if (shape.floats == 16 && lanes == kSplitLanes &&
      static_cast<int64_t>((h.out + 3) / 4) * ((w->out + 3) / 4) * 64 <= static_cast<int64_t>(h.out) * w->out * 5) {
    p.form = GatherForm::kSplit;
    p.tile_rows = p.tile_columns = p.region_rows = p.region_columns = kSplitSide;
    const int n_blocks = (pattern.channels + pattern.channel_block - 1) / pattern.channel_block;
    p.group_blocks =
        limit(kFirstCacheFloats * 2 / (tile_floats(h, *w, 4, 4, 16) * 3 * pattern.channel_block), 1, n_blocks);
    measure(shape, h, *w, 16, pattern, &p);
    return p;
  }
  int rows = 1, columns = 1;  // positions of a tile
  int64_t planned = row_class(lanes).high;
  choose_form(shape, h, w, planned, &p, &rows, &columns);
  if (p.form == GatherForm::kPixels) p.lanes = static_cast<int>(planned = 16);
  cut_region(shape, h, *w, planned, pattern, rows, columns, &p);
  measure(shape, h, *w, planned, pattern, &p);
  return p;
}

SparsePattern phase_shape(const SparsePattern& whole, const Axis& h, const Axis& w) {
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

PhaseEntries take_phase_entries(const SparsePattern& whole, ScratchCursor* cursor) {
  PhaseEntries e;
  e.row_start = cursor->take<uint32_t>(static_cast<int64_t>(whole.n_blocks) * whole.rows + 1);
  e.index = cursor->take<uint16_t>(whole.nnz + 1ll);
  e.value = cursor->take<float>(whole.nnz + 1ll);
  e.place = cursor->take<int32_t>(static_cast<int64_t>(whole.channel_block) * whole.taps);
  return e;
}

namespace {

uint64_t gather_bytes(const GatherPlan& p) {
  ScratchCursor cursor = {nullptr, 0};
  cursor.take<int32_t>(p.offsets);
  cursor.take<int32_t>(p.rest_offsets);
  cursor.take<float>(p.packed);
  cursor.take<float>(p.spill);
  cursor.take<float>(p.partial);
  cursor.take<SourceRow>(p.ahead);
  return cursor.used;
}

}  // namespace
}  // namespace edgecl::plan

namespace edgecl {

using namespace plan;

uint64_t ScratchTable::sparse_conv_forward_scratch_bytes(const SparseConvForwardArgs& a) const {
  if (tiled.floats == 1) return 0;
  const ConvShape& s = a.shape;
  const Axis h = forward_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.y.height);
  Axis w = forward_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.y.width);
  return gather_bytes(plan_gather(tiled, h, &w, a.x.lanes, a.pattern));
}

uint64_t ScratchTable::sparse_conv_backward_data_scratch_bytes(const SparseConvBackwardDataArgs& a) const {
  if (tiled.floats == 1) return 0;
  const ConvShape& s = a.shape;
  const bool phases = s.stride_h > 1 || s.stride_w > 1;
  const PhaseKinds down = phase_kinds(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.dx.height);
  const PhaseKinds across = phase_kinds(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.dx.width);
  uint64_t most = 0;
  for (int i = 0; i < down.n; i++)
    for (int j = 0; j < across.n; j++) {
      const Axis& h = down.axis[i];
      Axis w = across.axis[j];
      const SparsePattern pattern = phases ? phase_shape(a.transposed, h, w) : a.transposed;
      ScratchCursor cursor = {nullptr, gather_bytes(plan_gather(tiled, h, &w, a.dy.lanes, pattern))};
      if (phases) take_phase_entries(a.transposed, &cursor);
      if (cursor.used > most) most = cursor.used;
    }
  return most;
}

}  // namespace edgecl
