// Sparse convolution, weight gradient: dY tiles in registers times the packed source, at stored entries only.
// Never here: forward and input gradient, gradients of weights that are not stored.
#include "kernels/kernel_declarations.h"
#include "kernels/plan/sparse_gradient_plan.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_pack.h"
#include "kernels/simd/sparse_registers.h"
#include "kernels/simd/sparse_select.h"
#include "kernels/simd/sparse_split.h"
#include "kernels/simd/tree.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

struct GradientScratch {
  int32_t* offset;  // [channel_block * taps]
  int32_t* rest;    // kTiles of 20 lanes: the same, of the other four
  float* packed;
  SourceRow* ahead;  // [kRowsAhead]
  float* held;       // [kHeld][16] lane sums that wait for the tree
  float* gathered;   // kTiles, kBlocks: dY of one block, [rows][block_floats]
};

GradientScratch take_scratch(const GradientPlan& plan, ScratchCursor* cursor) {
  GradientScratch s;
  s.offset = cursor->take<int32_t>(plan.offsets);
  s.rest = cursor->take<int32_t>(plan.rest_offsets);
  s.packed = cursor->take<float>(plan.packed);
  s.ahead = cursor->take<SourceRow>(plan.ahead);
  s.held = cursor->take<float>(plan.held);
  s.gathered = cursor->take<float>(plan.gathered);
  return s;
}

// One block of the contract against one block of input channels.
struct GradientJob {
  SelectedEntries entries;
  const int32_t *offset, *rest;
  const float *packed, *packed_rest;  // the block's first position
  int64_t pitch, rest_pitch;
  int64_t unit_begin, unit_end, row_begin;  // consecutive units (channel block, row), and the first one's row
  const float* dy;                          // row 0's block
  int64_t dy_row;
  int floats;  // of the block; fewer than those of a whole one only in the last
  bool first;  // block of the contract: its sum starts the total
  SourceAhead* ahead;
  float* held;
};

// Turns the first n held lane sums into sums and adds them to the totals of entries k ..
EDGECL_INLINE void release(const GradientJob& job, uint32_t k, int n) {
  float folded[kVirtualLanes];
  for (int i = 0; i < kVirtualLanes; i += kVec) tree_of_many(job.held + i * kVirtualLanes, folded + i);
  const vec16 sums = load16(folded);
  float* total = job.entries.total + k;
  if (n == kVirtualLanes) {
    store16(total, job.first ? sums : add16(load16(total), sums));
  } else {
    store16_n(total, job.first ? sums : add16(load16_n(total, n), sums), n);
  }
}

// Calls dots(k, n, held) for runs of at most kTogether entries of one row, after row(r); keeps `held` and the totals in
// step.
template <class Row, class Dots>
EDGECL_INLINE void each_entry(const GradientJob& job, Row row, Dots dots) {
  const uint32_t* start = job.entries.row_start;
  uint32_t k = start[job.unit_begin], released = k;
  for (int64_t u = job.unit_begin; u < job.unit_end; u++) {
    const uint32_t end = start[u + 1];
    if (k == end) continue;
    row(job.row_begin + (u - job.unit_begin));
    while (k < end) {
      float* to = job.held + (k - released) * kVirtualLanes;
      const uint32_t left = end - k;
      if (left >= kTogether) {
        dots(Count<kTogether>(), k, to);
        k += kTogether;
      } else {
        if (left == 3)
          dots(Count<3>(), k, to);
        else if (left == 2)
          dots(Count<2>(), k, to);
        else
          dots(Count<1>(), k, to);
        k = end;
      }
      if (k - released >= kVirtualLanes) {
        release(job, released, kVirtualLanes);
        released += kVirtualLanes;
        for (uint32_t i = released; i < k; i++)
          store16(job.held + (i - released) * kVirtualLanes,
                  load16(job.held + (i - released + kVirtualLanes) * kVirtualLanes));
      }
    }
  }
  if (k > released) release(job, released, static_cast<int>(k - released));
}

#if EDGECL_VECTOR_BYTES < 64
// 16 floats by which the pointer moves on.
EDGECL_INLINE vec16 next16(const float*& p) {
#if defined(__aarch64__)
  return take16(p);
#else
  p += 16;
  return load16(p - 16);
#endif
}
#endif

// kRows: of the block in the packed source; kRest: chunks that follow, of the lanes beyond 16, which lie together.
// Where the block of dY does not fit in the registers it is read anew for every run of entries.
template <int kRows, int kRest>
__attribute__((noinline)) void gradient_tile(const GradientJob& job) {
  constexpr int kColumns = kSparseGradientChunks / kRows;
  const int64_t pitch = job.pitch;
  const float* block = nullptr;
#if EDGECL_VECTOR_BYTES == 64
  vec16 d[kSparseGradientChunks + kRest];
#endif
  each_entry(
      job,
      [&](int64_t row) {
        job.ahead->ask();
        block = job.dy + row * job.dy_row;
        const float* next = block + job.dy_row;  // where that is a plane apart, no hardware prefetcher follows
        keep_pointer(next);
        EDGECL_UNROLL
        for (int j = 0; j < kSparseGradientChunks + kRest; j++) {
#if EDGECL_VECTOR_BYTES == 64
          d[j] = load16(block + j * kVirtualLanes);
#endif
          __builtin_prefetch(next + j * kVirtualLanes);
        }
      },
      [&](auto count, uint32_t k, float* held) __attribute__((always_inline)) {
        constexpr int kCount = decltype(count)::value;
        const float* x[kCount];
        const float* rest[kCount];
        vec16 acc[kCount];
        EDGECL_UNROLL
        for (int e = 0; e < kCount; e++) {
          x[e] = job.packed + job.offset[job.entries.index[k + e]];
          if (kRest > 0) rest[e] = job.packed_rest + job.rest[job.entries.index[k + e]];
          acc[e] = zero16();
        }
#if EDGECL_VECTOR_BYTES == 64
        EDGECL_UNROLL
        for (int r = 0; r < kRows; r++) {
          EDGECL_UNROLL
          for (int e = 0; e < kCount; e++) {
            if (r > 0) x[e] += pitch;
            keep_pointer(x[e]);
          }
          EDGECL_UNROLL
          for (int c = 0; c < kColumns; c++) EDGECL_UNROLL
          for (int e = 0; e < kCount; e++)
            acc[e] = fma16(d[r * kColumns + c], load16(x[e] + c * kVirtualLanes), acc[e]);
        }
        EDGECL_UNROLL
        for (int r = 0; r < kRest; r++) EDGECL_UNROLL
        for (int e = 0; e < kCount; e++)
          acc[e] = fma16(d[kSparseGradientChunks + r], load16(rest[e] + r * job.rest_pitch), acc[e]);
#else
        const float* dy = block;
        for (int r = 0; r < kRows; r++) {
          EDGECL_UNROLL
          for (int c = 0; c < kColumns; c++) {
            const vec16 d = next16(dy);
            EDGECL_UNROLL
            for (int e = 0; e < kCount; e++) acc[e] = fma16(d, next16(x[e]), acc[e]);
          }
          EDGECL_UNROLL
          for (int e = 0; e < kCount; e++) x[e] += pitch - kColumns * kVirtualLanes;
        }
        for (int r = 0; r < kRest; r++) {
          const vec16 d = next16(dy);
          EDGECL_UNROLL
          for (int e = 0; e < kCount; e++) acc[e] = fma16(d, load16(rest[e] + r * job.rest_pitch), acc[e]);
        }
#endif
        EDGECL_UNROLL
        for (int e = 0; e < kCount; e++) store16(held + e * kVirtualLanes, acc[e]);
      });
}

// The last block of the planes: any number of floats.
void gradient_rest(const GradientJob& job) {
  const int chunks = job.floats / kVirtualLanes, rest = job.floats % kVirtualLanes;
  const float* dy = nullptr;
  each_entry(
      job, [&](int64_t row) { dy = job.dy + row * job.dy_row; },
      [&](auto count, uint32_t k, float* held) __attribute__((always_inline)) {
        constexpr int kCount = decltype(count)::value;
        const float* x[kCount];
        vec16 acc[kCount];
        EDGECL_UNROLL
        for (int e = 0; e < kCount; e++) {
          x[e] = job.packed + job.offset[job.entries.index[k + e]];
          acc[e] = zero16();
        }
        for (int j = 0; j < chunks; j++) {
          const vec16 d = load16(dy + j * kVirtualLanes);
          EDGECL_UNROLL
          for (int e = 0; e < kCount; e++) acc[e] = fma16(d, load16(x[e] + j * kVirtualLanes), acc[e]);
        }
        for (int e = 0; e < kCount; e++) {
          float* lanes = held + e * kVirtualLanes;
          store16(lanes, acc[e]);
          for (int i = 0; i < rest; i++)  // the other lanes are left alone
            lanes[i] = sfma(dy[chunks * kVirtualLanes + i], x[e][chunks * kVirtualLanes + i], lanes[i]);
        }
      });
}

void run_job(const GradientPlan& plan, const GradientJob& job) {
  if (job.floats != plan.block_floats)
    gradient_rest(job);
  else if (plan.form != GradientForm::kTiles)
    gradient_tile<1, 0>(job);
  else if (plan.block_floats == kBlockFloats)
    gradient_tile<kSide, 0>(job);
  else
    gradient_tile<kSide, kSplitRest>(job);
}

// kTiles: a band of dY, `tile` floats between the tiles of one row of the pattern, each in the contract's order.
__attribute__((noinline)) void gather_band(const Tensor& dy, const float* from, int columns, int64_t tile, float* to) {
  const int lanes = dy.lanes;
  const int64_t ahead = dy.plane();
  for (int r = 0; r < kSide; r++, from += (dy.width - columns) * static_cast<int64_t>(lanes))
    for (int column = 0; column < columns; column += kSide) {
      float* block = to + column / kSide * tile;
      EDGECL_UNROLL
      for (int c = 0; c < kSide; c++, from += lanes) {
        __builtin_prefetch(from + ahead, 0, 2);
        store16(block + (r * kSide + c) * 16, load16(from));
        if (lanes == kSplitLanes) store_quad(block + kBlockFloats + (r * kSide + c) * kSplitRest, load_quad(from + 16));
      }
    }
}

// kBlocks: positions q .. of the planes taken together, 16 floats each.
struct BlockSource {
  const SparseConvBackwardWeightArgs& a;
  int64_t first;
  int positions;

  __attribute__((noinline)) void pack_dy(float* to) const {
    const int64_t cells = static_cast<int64_t>(a.dy.height) * a.dy.width;
    for (int64_t row = 0; row < a.pattern.rows; row++)
      for (int j = 0; j < positions; j++) {
        const int64_t q = first + j;
        store16(to + row * kBlockFloats + j * 16,
                load16(a.dy.data + ((q / cells * a.dy.channels + row) * cells + q % cells) * 16));
      }
  }
  __attribute__((noinline)) void pack_x(int64_t channel, float* to) const {
    const ConvShape& s = a.shape;
    const int64_t cells = static_cast<int64_t>(a.dy.height) * a.dy.width;
    for (int tap = 0; tap < a.pattern.taps; tap++)
      for (int j = 0; j < positions; j++, to += 16) {
        const int64_t q = (first + j) % cells, g = (first + j) / cells;
        const int64_t row = q / a.dy.width * s.stride_h - s.pad_top + tap / s.kernel_w * s.dilation_h;
        const int64_t column = q % a.dy.width * s.stride_w - s.pad_left + tap % s.kernel_w * s.dilation_w;
        const bool inside = row >= 0 && row < a.x.height && column >= 0 && column < a.x.width;
        store16(to, inside ? load16(a.x.data +
                                    (((g * a.x.channels + channel) * a.x.height + row) * a.x.width + column) * 16)
                           : zero16());
      }
  }
};

class GradientRunner {
 public:
  GradientRunner(const SparseConvBackwardWeightArgs& a, const GradientPlan& plan, const GradientScratch& scratch,
                 const SelectedEntries& entries)
      : a_(a), plan_(plan), scratch_(scratch) {
    job_.entries = entries;
    job_.offset = scratch.offset;
    job_.rest = scratch.rest;
    job_.pitch = plan.layout.pitch;
    job_.rest_pitch = plan.split.rest.pitch;
    job_.dy_row = plan.form == GradientForm::kFlat ? a.dy.plane() : plan.block_floats;
    job_.held = scratch.held;
    job_.ahead = &ahead_;
    if (plan.block_floats > kBlockFloats)
      fill_split_offsets(plan.split, plan.h, plan.w, a.shape.kernel_w, a.pattern.taps, false, a.pattern.channel_block,
                         scratch.offset, scratch.rest);
    else if (plan.form != GradientForm::kBlocks)
      fill_offsets(plan.layout, plan.h, plan.w, a.dy.lanes, a.shape.kernel_w, a.pattern.taps, a.pattern.channel_block,
                   scratch.offset);
  }

  void run() {
    if (plan_.form == GradientForm::kBlocks) {
      run_blocks();
      return;
    }
    if (plan_.form == GradientForm::kTiles) {
      run_tiles();
      return;
    }
    const int64_t plane_blocks = (a_.dy.plane() + kBlockFloats - 1) / kBlockFloats;
    for (int64_t g = 0; g < a_.dy.groups; g++)
      for (int64_t q = 0; q < plane_blocks; q += plan_.region_blocks) {
        const int64_t q_end = q + plan_.region_blocks < plane_blocks ? q + plan_.region_blocks : plane_blocks;
        run_region(g, q, q_end);
      }
  }

 private:
  // Calls f(channel_begin, channel_end, block_begin, block_end) for the groups of channel blocks that the part has
  // entries in.
  template <class F>
  void each_group(F f) const {
    const SparsePattern& p = a_.pattern;
    const int64_t block_end = (job_.entries.unit_end + p.rows - 1) / p.rows;
    for (int64_t b = job_.entries.unit_begin / p.rows; b < block_end; b += plan_.group_blocks) {
      const int64_t b_end = b + plan_.group_blocks < block_end ? b + plan_.group_blocks : block_end;
      const int64_t channel_end = b_end * p.channel_block;
      f(b * p.channel_block, channel_end < p.channels ? channel_end : p.channels, b, b_end);
    }
  }

  // The job's block of the contract against packed channel blocks [b, b_end).
  __attribute__((noinline)) void run_channel_blocks(int64_t b, int64_t b_end, int64_t at, int64_t rest_at) {
    const int64_t rows = a_.pattern.rows;
    for (int64_t i = b; i < b_end; i++) {
      job_.unit_begin = i * rows > job_.entries.unit_begin ? i * rows : job_.entries.unit_begin;
      job_.unit_end = (i + 1) * rows < job_.entries.unit_end ? (i + 1) * rows : job_.entries.unit_end;
      job_.row_begin = job_.unit_begin - i * rows;
      const float* packed = scratch_.packed + (i - b) * a_.pattern.channel_block * plan_.layout.channel;
      job_.packed = packed + at;
      job_.packed_rest = packed + rest_at;
      run_job(plan_, job_);
    }
  }

  void run_region(int64_t g, int64_t q_begin, int64_t q_end) {
    const int64_t row_floats = static_cast<int64_t>(a_.dy.width) * a_.dy.lanes;
    const int64_t row = q_begin * kBlockFloats / row_floats;
    const float* dy = a_.dy.data + g * a_.dy.channels * a_.dy.plane();
    const float* x = a_.x.data + g * a_.x.channels * a_.x.plane();
    each_group([&](int64_t channel, int64_t channel_end, int64_t b, int64_t b_end) {
      pack_channels(plan_.layout, plan_.h, plan_.w, a_.x, x, static_cast<int>(row), 0, channel, channel_end,
                    a_.x.lanes == 16, false, scratch_.packed);
      for (int64_t q = q_begin; q < q_end; q++) {
        const int64_t f = q * kBlockFloats, left = a_.dy.plane() - f;
        job_.floats = left < kBlockFloats ? static_cast<int>(left) : kBlockFloats;
        job_.first = g == 0 && q == 0;
        job_.dy = dy + f;
        run_channel_blocks(b, b_end, f - row * row_floats, 0);
      }
    });
  }

  // Lets the rows of channel blocks [b, b_end) in region i ask for what is packed next.
  __attribute__((noinline)) void look_ahead(int64_t i, int64_t across, int64_t b, int64_t b_end) {
    const Tensor& x = a_.x;
    if (x.lanes != 16 || x.size() <= kNearFloats) return;
    const SparsePattern& p = a_.pattern;
    const int64_t block_end = (job_.entries.unit_end + p.rows - 1) / p.rows, down = a_.dy.height / kSide;
    int64_t next = b_end;
    if (next >= block_end) {
      i++;
      next = job_.entries.unit_begin / p.rows;
    }
    if (i >= x.groups * down * across) return;
    const int row = static_cast<int>(i / across % down) * kSide,
              column = static_cast<int>(i % across) * plan_.layout.columns;
    ahead_.row = scratch_.ahead;
    ahead_.rows = source_rows(plan_.layout, plan_.h, plan_.w, x, row, column, scratch_.ahead);
    ahead_.step = plan_.w.step * 16;
    const int64_t channel = next * p.channel_block, end = channel + plan_.group_blocks * p.channel_block;
    ahead_.aim(x.data + i / across / down * x.channels * x.plane(), x.plane(), channel,
               end < p.channels ? end : p.channels, (b_end - b) * p.rows * plan_.region_blocks);
  }

  void run_tiles() {
    const Tensor &x = a_.x, &dy = a_.dy;
    const int64_t rows = a_.pattern.rows, row_floats = static_cast<int64_t>(dy.width) * dy.lanes;
    int64_t first = job_.entries.unit_begin % rows, last = first + job_.entries.unit_end - job_.entries.unit_begin;
    if (last > rows) {
      first = 0;
      last = rows;
    }
    job_.floats = plan_.block_floats;
    job_.first = true;
    const int64_t tile = rows * plan_.block_floats;
    const bool whole = dy.plane() == plan_.block_floats && dy.lanes == 16;  // a plane is a block already
    const int columns = plan_.region_blocks * kSide, across = dy.width / columns;
    for (int64_t i = 0; i < static_cast<int64_t>(dy.groups) * (dy.height / kSide) * across; i++) {
      const int64_t g = i / across / (dy.height / kSide);
      const int row = static_cast<int>(i / across % (dy.height / kSide)) * kSide,
                column = static_cast<int>(i % across) * columns;
      const float* band = dy.data + g * dy.channels * dy.plane() + row * row_floats + column * dy.lanes;
      for (int64_t r = first; r < last && !whole; r++)
        gather_band(dy, band + r * dy.plane(), columns, tile, scratch_.gathered + r * plan_.block_floats);
      const float* source = x.data + g * x.channels * x.plane();
      each_group([&](int64_t channel, int64_t channel_end, int64_t b, int64_t b_end) {
        if (dy.lanes == kSplitLanes)
          pack_split(plan_.split, plan_.h, plan_.w, x, source, row, column, channel, channel_end, scratch_.packed);
        else
          pack_channels(plan_.layout, plan_.h, plan_.w, x, source, row, column, channel, channel_end, true, false,
                        scratch_.packed);
        look_ahead(i, across, b, b_end);
        for (int t = 0; t < plan_.region_blocks; t++) {
          job_.first = i == 0 && t == 0;
          job_.dy = whole ? band : scratch_.gathered + t * tile;
          run_channel_blocks(b, b_end, t * kSide * 16, t * kSide * kSplitRest);
        }
      });
    }
  }

  void run_blocks() {
    const SparsePattern& p = a_.pattern;
    const int64_t positions = static_cast<int64_t>(a_.dy.groups) * a_.dy.height * a_.dy.width;
    for (int64_t q = 0; q < positions; q += kSparseGradientChunks) {
      const int n = static_cast<int>(positions - q < kSparseGradientChunks ? positions - q : kSparseGradientChunks);
      const BlockSource source = {a_, q, n};
      source.pack_dy(scratch_.gathered);
      for (int i = 0; i < p.channel_block * p.taps; i++) scratch_.offset[i] = i * n * 16;
      job_.floats = n * 16;
      job_.first = q == 0;
      job_.dy = scratch_.gathered;
      each_group([&](int64_t channel, int64_t channel_end, int64_t b, int64_t b_end) {
        for (int64_t c = channel; c < channel_end; c++) {
          const int64_t in_group = c - channel;
          source.pack_x(c, scratch_.packed + in_group / p.channel_block * p.channel_block * plan_.layout.channel +
                               in_group % p.channel_block * p.taps * n * 16);
        }
        run_channel_blocks(b, b_end, 0, 0);
      });
    }
  }

  const SparseConvBackwardWeightArgs& a_;
  const GradientPlan& plan_;
  const GradientScratch& scratch_;
  GradientJob job_ = {};
  SourceAhead ahead_ = {};
};

// Sum of dY over one output channel: as the weight gradient, with additions and blocks of kGradientChunks.
__attribute__((noinline)) float bias_gradient(const Tensor& dy, int64_t row) {
  const int64_t plane = dy.plane();
  vec16 lanes = zero16();
  float sum = 0.0f;
  bool started = false;
  int chunks = 0;
  for (int64_t g = 0; g < dy.groups; g++) {
    const float* d = dy.data + (g * dy.channels + row) * plane;
    for (int64_t f = 0; f < plane; f += kVirtualLanes) {
      if (chunks == kGradientChunks) {
        const float block = tree16(lanes);
        sum = started ? sum + block : block;
        started = true;
        lanes = zero16();
        chunks = 0;
      }
      // A sum that starts from +0 is never -0, so that +0 leaves the lanes of a short chunk alone.
      const int64_t left = plane - f;
      lanes = add16(lanes, left < kVirtualLanes ? load16_n(d + f, static_cast<int>(left)) : load16(d + f));
      chunks++;
    }
  }
  const float block = tree16(lanes);
  return started ? sum + block : block;
}

}  // namespace

void sparse_conv_backward_weight(const SparseConvBackwardWeightArgs& a, int part, int n_parts, void* scratch) {
  if (a.dbias) {
    int64_t begin, end;
    share(a.pattern.rows, part, n_parts, &begin, &end);
    for (int64_t row = begin; row < end; row++) a.dbias[row] = bias_gradient(a.dy, row);
  }
  const GradientPlan plan = plan_gradient(a);
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  const GradientScratch s = take_scratch(plan, &cursor);
  SelectedEntries entries = take_entries(a.pattern, a.selected, a.dvalue, &cursor);
  select_entries(a.pattern, a.selected, part, n_parts, &entries);
  if (entries.row_start[entries.unit_begin] != entries.row_start[entries.unit_end])
    GradientRunner(a, plan, s, entries).run();
  scatter_totals(a.pattern, a.selected, entries, a.dvalue);
}

}  // namespace edgecl::EDGECL_LEVEL
