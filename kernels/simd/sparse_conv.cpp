// Sparse convolution, forward and input gradient: a gather over packed regions, an output row kept in registers.
// Never here: the weight gradient, dense weights.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/conv_pack.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_pack.h"
#include "kernels/simd/sparse_phase.h"
#include "kernels/simd/sparse_registers.h"
#include "kernels/simd/sparse_split.h"
#include "kernels/simd/sparse_tile.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kTileFloats = kSparseTile * kVec;
constexpr int kTileFloatsMost = kSparseTileMost * kVec;

// One gather: target positions of one output phase from the source, through one pattern.
struct Gather {
  Axis h, w;
  Tensor source, target;
  SparsePattern pattern;
  const float* value;
  const float* bias;
  ActivationSpec activation;
  bool accumulate;
  int kernel_w;
  bool numbered;  // taps are numbered as the axes count them, not as the kernel does
};

struct GatherScratch {
  int32_t* offset;  // [channel_block * taps]
  int32_t* rest;    // kSplit: the same, of the other four lanes
  float* packed;
  float* spill;  // kPixels: one for each native vector of the 16 lanes
  float* partial;
  SourceRow* ahead;  // [kRowsAhead]
};

GatherScratch take_scratch(const GatherPlan& plan, ScratchCursor* cursor) {
  GatherScratch s;
  s.offset = cursor->take<int32_t>(plan.offsets);
  s.rest = cursor->take<int32_t>(plan.rest_offsets);
  s.packed = cursor->take<float>(plan.packed);
  s.spill = cursor->take<float>(plan.spill);
  s.partial = cursor->take<float>(plan.partial);
  s.ahead = cursor->take<SourceRow>(plan.ahead);
  return s;
}

// A region of the target grid: first position and extent.
struct Region {
  int row, column, rows, columns;
};

// Adds (`accumulate`) or writes n floats.
EDGECL_INLINE void put(float* to, const float* from, int64_t n, bool accumulate) {
  int64_t i = 0;
  for (; i + kVec <= n; i += kVec) vstore(to + i, accumulate ? vload(to + i) + vload(from + i) : vload(from + i));
  const int rest = static_cast<int>(n - i);
  if (rest > 0)
    vstore_n(to + i, accumulate ? vload_n(to + i, rest) + vload_n(from + i, rest) : vload_n(from + i, rest), rest);
}

// Where a partial tile goes.
struct PartialTarget {
  int64_t row_step, column_step;  // floats between neighbouring positions of the grid in the target
  int rows, columns;              // valid part of the tile, positions (kFlat: one row)
  int64_t first, floats;          // kRows, kFlat: the run of a tile row in the flattened region
  int64_t region_row,
      valid_row;  // kRows, kFlat: floats of a packed row of the region, and those that exist in the target
  int lanes;
  int valid;  // kPixels: floats of a vector that exist
};

template <int kColumns>
EDGECL_INLINE void put_pixels(const SparseTileJob& job, int64_t row, const PartialTarget& t) {
  float* to = job.target + row * job.target_row;
  for (int r = 0; r < t.rows; r++)
    for (int c = 0; c < t.columns; c++)
      put(to + r * t.row_step + c * t.column_step, job.partial + (r * kColumns + c) * kVec, t.valid, job.accumulate);
}

// A run of the flattened region, a row of it at a time: as one piece where positions adjoin in the target, else
// position by position.
void put_run(float* to, const float* from, int64_t first, int64_t floats, const PartialTarget& t, bool accumulate) {
  int64_t in_row = first % t.region_row;
  to += first / t.region_row * t.row_step;
  while (floats > 0) {
    const int64_t n = floats < t.region_row - in_row ? floats : t.region_row - in_row;
    int64_t valid = n < t.valid_row - in_row ? n : t.valid_row - in_row;
    if (t.column_step == t.lanes) {
      if (valid > 0) put(to + in_row, from, valid, accumulate);
    } else if (valid > 0) {
      int64_t lane = in_row % t.lanes;
      float* position = to + in_row / t.lanes * t.column_step;
      for (const float* piece = from; valid > 0; position += t.column_step, lane = 0) {
        const int64_t rest = t.lanes - lane, m = valid < rest ? valid : rest;
        put(position + lane, piece, m, accumulate);
        piece += m;
        valid -= m;
      }
    }
    from += n;
    floats -= n;
    in_row = 0;
    to += t.row_step;
  }
}

// Not inlined: each form needs all registers for itself.
template <int kRows>
__attribute__((noinline)) void run_pixels(const SparseTileJob& job, const PartialTarget& t) {
  constexpr int kColumns = kSparseTile / kRows;
  sparse_tile<kRows, kColumns, 16, 0>(job,
                                      [&](const SparseTileJob& j, int64_t row) { put_pixels<kColumns>(j, row, t); });
}

template <int kRows, int kVectors>
__attribute__((noinline)) void run_vectors(const SparseTileJob& job, const PartialTarget& t) {
  sparse_tile<kRows, kVectors, kVec, kVec>(job, [&](const SparseTileJob& j, int64_t row) {
    for (int r = 0; r < t.rows; r++)
      put_run(j.target + row * j.target_row, j.partial + r * kVectors * kVec, t.first + r * t.region_row, t.floats, t,
              j.accumulate);
  });
}

// All tiles of a region, for the rows of `job`.
class RegionRunner {
 public:
  RegionRunner(const Gather& g, const GatherPlan& plan, const GatherScratch& scratch)
      : g_(g),
        plan_(plan),
        scratch_(scratch),
        layout_(pack_layout(g.h, g.w, plan.region_rows, plan.region_columns, plan.lanes)),
        split_(split_layout(g.h, g.w, kSplitSide)) {
    if (plan.form == GatherForm::kSplit) {
      fill_split_offsets(split_, g.h, g.w, g.kernel_w, g.pattern.taps, g.numbered, g.pattern.channel_block,
                         scratch.offset, scratch.rest);
    } else if (g.numbered) {
      for (int c = 0; c < g.pattern.channel_block; c++)
        for (int m = 0; m < g.pattern.taps; m++)
          scratch.offset[c * g.pattern.taps + m] = static_cast<int32_t>(
              c * layout_.channel + tap_offset(layout_, g.h, g.w, plan.lanes, m / g.w.count, m % g.w.count));
    } else {
      fill_offsets(layout_, g.h, g.w, plan.lanes, g.kernel_w, g.pattern.taps, g.pattern.channel_block, scratch.offset);
    }
  }

  // `group`: of the batch, or (batch group, 16 lanes of it). `next`: the region that comes after this one, or null;
  // `next_group`: its group.
  void run(int64_t group, const Region& region, int64_t row_begin, int64_t row_end, int64_t next_group,
           const Region* next) const {
    const SparsePattern& p = g_.pattern;
    const float* source = source_of(group);
    SparseTileJob job = {};
    job.row_start = p.row_start;
    job.index = p.index;
    job.value = g_.value;
    job.offset = scratch_.offset;
    job.rows = p.rows;
    job.row_begin = row_begin;
    job.row_end = row_end;
    job.block_floats = p.channel_block * layout_.channel;
    job.pitch = layout_.pitch;
    job.bias = g_.bias;
    job.spill = scratch_.spill;
    job.activation = g_.activation;
    job.accumulate = g_.accumulate;
    job.streamed = kStreams && !g_.accumulate && g_.target.lanes == 16 && g_.target.size() >= kStreamedFloats &&
                   reinterpret_cast<uintptr_t>(g_.target.data) % 64 == 0;
    job.target_row = g_.target.plane();
    job.partial = scratch_.partial;
    SourceAhead ahead = {};
    job.ahead = &ahead;
    if (plan_.pack_all) pack(source, region, 0, p.channels);

    PartialTarget t = {};
    t.lanes = g_.target.lanes;
    t.column_step = static_cast<int64_t>(g_.w.out_step) * t.lanes;
    t.row_step = static_cast<int64_t>(g_.h.out_step) * g_.target.width * t.lanes;
    t.valid = g_.target.lanes - lane_of(group);
    float* target = g_.target.data + group / plan_.lane_groups * g_.target.channels * g_.target.plane() +
                    lane_of(group) +
                    (static_cast<int64_t>(g_.h.out_first + region.row * g_.h.out_step) * g_.target.width +
                     g_.w.out_first + region.column * g_.w.out_step) *
                        t.lanes;
    t.region_row = layout_.pitch;
    t.valid_row = static_cast<int64_t>(region.columns) * t.lanes;
    job.target_pitch = t.row_step;
    if (plan_.form == GatherForm::kSplit)
      run_split_tile(job, t, source, region, target);
    else if (plan_.form == GatherForm::kPixels)
      run_pixel_tiles(job, t, source, region, next ? source_of(next_group) : nullptr, next, target);
    else if (plan_.form == GatherForm::kRows)
      run_row_tiles(job, t, source, region, target);
    else
      run_flat_tiles(job, t, source, region, target);
  }

 private:
  bool looks_ahead() const {
    return plan_.form == GatherForm::kPixels && !plan_.pack_all && g_.source.size() > kNearFloats;
  }
  void pack(const float* source, const Region& region, int64_t channel_begin, int64_t channel_end) const {
    if (plan_.form == GatherForm::kSplit)
      return pack_split(split_, g_.h, g_.w, g_.source, source, region.row, region.column, channel_begin, channel_end,
                        scratch_.packed);
    pack_channels(layout_, g_.h, g_.w, g_.source, source, region.row, region.column, channel_begin, channel_end,
                  plan_.lanes == 16, looks_ahead(), scratch_.packed);
  }

  // A region is one tile.
  void run_split_tile(SparseTileJob& job, const PartialTarget& t, const float* source, const Region& region,
                      float* target) const {
#if EDGECL_VECTOR_BYTES == 64
    job.block_floats = g_.pattern.channel_block * split_.channel;
    job.pitch = split_.main.pitch;
    job.target = target;
    job.target_step = t.column_step;
    run_groups(job, source, region, nullptr, nullptr, 0,
               [&] { split_tile(job, scratch_.rest, region.rows, region.columns); });
#else
    (void)job, (void)t, (void)source, (void)region, (void)target;  // never planned
#endif
  }

  void run_pixel_tile(const SparseTileJob& job, const PartialTarget& t) const {
    if (plan_.tile_rows == 4)
      run_pixels<4>(job, t);
    else
      run_pixels<1>(job, t);
  }

  void run_pixel_tiles(SparseTileJob& job, PartialTarget& t, const float* source, const Region& region,
                       const float* next_source, const Region* next, float* target) const {
    const int lanes = t.valid;  // from the target's first on
    for (int i = 0; i < region.rows; i += plan_.tile_rows)
      for (int j = 0; j < region.columns; j += plan_.tile_columns) {
        t.rows = region.rows - i < plan_.tile_rows ? region.rows - i : plan_.tile_rows;
        t.columns = region.columns - j < plan_.tile_columns ? region.columns - j : plan_.tile_columns;
        const bool whole = t.rows == plan_.tile_rows && t.columns == plan_.tile_columns;
        job.target_step = t.column_step;
        float* const tile_target = target + i * t.row_step + j * t.column_step;
        // The native vectors of the 16 lanes: one after the other over all passes, or, where a pass packs for itself,
        // together in each.
        const int parts = lanes < 16 ? (lanes + kVec - 1) / kVec : kParts, together = plan_.pack_all ? 1 : parts;
        for (int first = 0; first < parts; first += together)
          run_groups(job, source, region, next_source, next, i * layout_.pitch + j * 16, [&] {
            const float* const packed = job.packed;
            for (int s = first; s < first + together; s++) {
              job.packed = packed + s * kVec;
              job.target = tile_target + s * kVec;
              t.valid = lanes - s * kVec < kVec ? lanes - s * kVec : kVec;
              job.direct = whole && t.valid == kVec;
              job.spill = scratch_.spill + (s - first) * g_.pattern.rows * kTileFloats;
              run_pixel_tile(job, t);
            }
          });
      }
  }

  void run_row_tiles(SparseTileJob& job, PartialTarget& t, const float* source, const Region& region,
                     float* target) const {
    const int64_t tile_floats = plan_.tile_columns * kVec;
    job.target_step = kVec;
    for (int i = 0; i < region.rows; i += plan_.tile_rows)
      for (int64_t f = 0; f < t.valid_row; f += tile_floats) {
        t.rows = region.rows - i < plan_.tile_rows ? region.rows - i : plan_.tile_rows;
        t.first = i * t.region_row + f;
        t.floats = t.valid_row - f < tile_floats ? t.valid_row - f : tile_floats;
        job.direct = t.rows == plan_.tile_rows && t.floats == tile_floats && t.column_step == t.lanes;
        job.target = job.direct ? target + i * t.row_step + f : target;
        run_groups(job, source, region, nullptr, nullptr, t.first, [&] {
          if (plan_.tile_columns == kSparseTile / kSparseRows)
            run_vectors<kSparseRows, kSparseTile / kSparseRows>(job, t);
          else
            run_vectors<kSparseRows, kSparseTile / kSparseRows + 1>(job, t);
        });
      }
  }

  // Columns of the packed region that hang over the target's edge are computed and not stored.
  void run_flat_tiles(SparseTileJob& job, PartialTarget& t, const float* source, const Region& region,
                      float* target) const {
    const int64_t floats = (region.rows - 1) * t.region_row + t.valid_row;
    const bool adjoining =
        t.column_step == t.lanes && (region.rows == 1 || (t.valid_row == t.region_row && t.row_step == t.region_row));
    t.rows = 1;
    job.target_step = kVec;
    for (int64_t f = 0; f < floats; f += kTileFloats) {
      t.first = f;
      t.floats = floats - f < kTileFloats ? floats - f : kTileFloats;
      const int vectors = static_cast<int>((t.floats + kVec - 1) / kVec);
      const int width = vectors > 12   ? 16
                        : vectors > 10 ? 12
                        : vectors > 8  ? 10
                        : vectors > 6  ? 8
                        : vectors > 4  ? 6
                                       : vectors;
      job.direct = adjoining && t.floats == static_cast<int64_t>(width) * kVec;
      job.target = job.direct ? target + f : target;
      run_groups(job, source, region, nullptr, nullptr, f, [&] { run_flat(width, job, t); });
    }
  }

  static void run_flat(int width, const SparseTileJob& job, const PartialTarget& t) {
    switch (width) {
      case 1:
        return run_vectors<1, 1>(job, t);
      case 2:
        return run_vectors<1, 2>(job, t);
      case 3:
        return run_vectors<1, 3>(job, t);
      case 4:
        return run_vectors<1, 4>(job, t);
      case 6:
        return run_vectors<1, 6>(job, t);
      case 8:
        return run_vectors<1, 8>(job, t);
      case 10:
        return run_vectors < 1, kSparseTile<10 ? 8 : 10>(job, t);
      case 12:
        return run_vectors < 1, kSparseTile<12 ? 8 : 12>(job, t);
      default:
        return run_vectors<1, kSparseTile>(job, t);
    }
  }

  int lane_of(int64_t group) const { return static_cast<int>(group % plan_.lane_groups) * 16; }
  const float* source_of(int64_t group) const {
    return g_.source.data + group / plan_.lane_groups * g_.source.channels * g_.source.plane() + lane_of(group);
  }

  // Lets the rows of the coming pass ask for channels [begin, end) of a region.
  __attribute__((noinline)) void look_ahead(SourceAhead* ahead, const Region& region, const float* source,
                                            int64_t begin, int64_t end, int64_t rows) const {
    ahead->row = scratch_.ahead;
    ahead->rows = source_rows(layout_, g_.h, g_.w, g_.source, region.row, region.column, scratch_.ahead);
    ahead->step = g_.w.step * g_.source.lanes;
    ahead->aim(source, g_.source.plane(), begin, end, rows);
  }

  // Passes over the channel blocks; `tile` runs the job of one pass. `next`: the region after this one, or null.
  template <class Tile>
  void run_groups(SparseTileJob& job, const float* source, const Region& region, const float* next_source,
                  const Region* next, int64_t at, Tile tile) const {
    const SparsePattern& p = g_.pattern;
    const int64_t group = static_cast<int64_t>(plan_.group_blocks) * p.channel_block;
    for (int b = 0; b < p.n_blocks; b += plan_.group_blocks) {
      job.block_begin = b;
      job.block_end = b + plan_.group_blocks < p.n_blocks ? b + plan_.group_blocks : p.n_blocks;
      job.first = b == 0;
      job.last = job.block_end == p.n_blocks;
      job.packed = scratch_.packed + at;
      if (plan_.pack_all) {
        job.packed += b * job.block_floats;
      } else {
        const int64_t begin = static_cast<int64_t>(b) * p.channel_block, end = begin + group, after = end + group;
        pack(source, region, begin, end < p.channels ? end : p.channels);
        if (looks_ahead()) {
          const int64_t rows = job.row_end - job.row_begin;
          if (!job.last)
            look_ahead(job.ahead, region, source, end, after < p.channels ? after : p.channels, rows);
          else if (next)
            look_ahead(job.ahead, *next, next_source, 0, group < p.channels ? group : p.channels, rows);
        }
      }
      tile();
    }
  }

  const Gather& g_;
  const GatherPlan& plan_;
  const GatherScratch& scratch_;
  PackLayout layout_;
  SplitLayout split_;
};

// The part's share of (group, region, row), rows innermost.
void run_gather(const Gather& g, const GatherPlan& plan, const GatherScratch& scratch, int part, int n_parts) {
  const int64_t down = (g.h.out + plan.region_rows - 1) / plan.region_rows;
  const int64_t across = (g.w.out + plan.region_columns - 1) / plan.region_columns;
  const int64_t rows = g.pattern.rows;
  int64_t begin, end;
  share(g.source.groups * plan.lane_groups * down * across * rows, part, n_parts, &begin, &end);
  if (begin == end) return;
  const auto region_at = [&](int64_t place) {
    Region r;
    r.row = static_cast<int>(place / across % down) * plan.region_rows;
    r.column = static_cast<int>(place % across) * plan.region_columns;
    r.rows = g.h.out - r.row < plan.region_rows ? g.h.out - r.row : plan.region_rows;
    r.columns = g.w.out - r.column < plan.region_columns ? g.w.out - r.column : plan.region_columns;
    return r;
  };
  const RegionRunner runner(g, plan, scratch);
  while (begin < end) {
    const int64_t place = begin / rows, row_begin = begin % rows;
    const int64_t row_end = end - place * rows < rows ? end - place * rows : rows;
    begin = place * rows + row_end;
    const Region next = region_at(place + 1);
    runner.run(place / across / down, region_at(place), row_begin, row_end, (place + 1) / across / down,
               begin < end ? &next : nullptr);
  }
  end_streams();
}

Gather forward_gather(const SparseConvForwardArgs& a) {
  const ConvShape& s = a.shape;
  Gather g;
  g.h = forward_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.y.height);
  g.w = forward_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.y.width);
  g.source = a.x;
  g.target = a.y;
  g.pattern = a.pattern;
  g.value = a.value;
  g.bias = a.bias;
  g.activation = a.activation;
  g.accumulate = false;
  g.kernel_w = s.kernel_w;
  g.numbered = false;
  return g;
}

Gather backward_gather(const SparseConvBackwardDataArgs& a, const Axis& h, const Axis& w) {
  Gather g;
  g.h = h;
  g.w = w;
  g.source = a.dy;
  g.target = a.dx;
  g.pattern = a.transposed;
  g.value = a.value;
  g.bias = nullptr;
  g.activation = {Activation::kNone, 0.0f, 0.0f};
  g.accumulate = a.accumulate;
  g.kernel_w = a.shape.kernel_w;
  g.numbered = false;
  return g;
}

GatherPlan plan_of(Gather* g) {
  return plan_gather(kShape, g->h, &g->w, g->source.lanes, g->pattern);
}

// One phase of the input gradient; `phases`: there are others.
void run_phase(const SparseConvBackwardDataArgs& a, const Axis& h, const Axis& w, bool phases, int part, int n_parts,
               void* scratch) {
  Gather g = backward_gather(a, h, w);
  if (phases) g.pattern = phase_shape(a.transposed, g.h, g.w);
  const GatherPlan plan = plan_of(&g);
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  const GatherScratch s = take_scratch(plan, &cursor);
  if (phases) {
    const PhaseEntries e = take_phase_entries(a.transposed, &cursor);
    select_phase(a.transposed, a.value, g.h, g.w, g.kernel_w, e, &g.pattern);
    g.value = e.value;
    g.numbered = true;
  }
  run_gather(g, plan, s, part, n_parts);
}

}  // namespace

void sparse_conv_forward(const SparseConvForwardArgs& a, int part, int n_parts, void* scratch) {
  Gather g = forward_gather(a);
  const GatherPlan plan = plan_of(&g);
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  const GatherScratch s = take_scratch(plan, &cursor);
  run_gather(g, plan, s, part, n_parts);
}

void sparse_conv_backward_data(const SparseConvBackwardDataArgs& a, int part, int n_parts, void* scratch) {
  const ConvShape& s = a.shape;
  const bool phases = s.stride_h > 1 || s.stride_w > 1;
  // Phases beyond the size of dX have no positions.
  const int down = s.stride_h < a.dx.height ? s.stride_h : a.dx.height;
  const int across = s.stride_w < a.dx.width ? s.stride_w : a.dx.width;
  for (int i = 0; i < down; i++) {
    const Axis h = gradient_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.dx.height, i);
    for (int j = 0; j < across; j++) {
      const Axis w = gradient_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.dx.width, j);
      run_phase(a, h, w, phases, part, n_parts, scratch);
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
