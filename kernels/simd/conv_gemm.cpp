// Packs strips of the source into cache-sized scratch and runs the register tile over them, for any stride, dilation
// and border. Never here: the translation of a layer's arguments, weight gradients.
// Built for size (-Os): it cuts the work of the register tile.
#include "kernels/simd/conv_gemm.h"

#include "kernels/simd/conv_pack.h"
#include "kernels/simd/gemm_tile.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// A strip: output rows [row, row + rows) and columns [column, column + columns) of batch group g and channel group
// `group`.
struct Strip {
  int g, group, row, rows, column, columns;
  const float* packed;
  int64_t channel;        // floats between packed channels
  int segments;           // runs of `floats` floats that vectors may not cross
  int64_t floats, pitch;  // of a segment in the packed strip
};

struct Scratch {
  TapOffset* taps;
  float *packed, *weight, *stage;
};

Scratch cut_scratch(const GemmPlan& p, void* scratch) {
  Scratch s;
  s.taps = static_cast<TapOffset*>(scratch);
  s.packed = static_cast<float*>(scratch) + p.tap_floats;
  s.weight = s.packed + p.pack_floats;
  s.stage = s.weight + p.weight_floats;
  return s;
}

// Results of an input gradient's phase: from the compact buffer to positions `out_step` apart.
void scatter(const ConvGemm& conv, const Strip& s, const float* stage, int64_t row_floats, float* plane) {
  const int lanes = conv.out.lanes;
  for (int i = 0; i < s.rows; i++) {
    const int64_t h = conv.h.out_first + static_cast<int64_t>(s.row + i) * conv.h.out_step;
    for (int j = 0; j < s.columns; j++) {
      const int64_t w = conv.w.out_first + static_cast<int64_t>(s.column + j) * conv.w.out_step;
      float* to = plane + (h * conv.out.width + w) * lanes;
      const float* from = stage + i * row_floats + static_cast<int64_t>(j) * lanes;
      int l = 0;
      for (; l + kVec <= lanes; l += kVec)
        vstore(to + l, conv.accumulate ? vload(to + l) + vload(from + l) : vload(from + l));
      for (; l < lanes; l++) to[l] = conv.accumulate ? to[l] + from[l] : from[l];
    }
  }
}

// Weights of the row blocks [first, last) of `grid` and of `channels` channels as [row block][channel][row][tap]. Whole
// vectors are stored, so kVec floats lie between two row blocks.
void gather_weights(const ConvGemm& conv, const float* weight, const TileGrid& grid, int64_t rows, int first, int last,
                    int channels, float* to) {
  for (int c = 0; c < channels; c++, weight += conv.weight_channel) {
    float* block = to;
    const float* from = weight;
    for (int rb = first; rb < last; rb++) {
      int64_t row;
      int size;
      block_of(rows, rb, grid.row_blocks, &row, &size);
      const int64_t n = size * conv.weight_row;
      float* place = block + c * n;
      for (int64_t i = 0; i < n; i += kVec) {
        __builtin_prefetch(from + i + conv.weight_channel);
        vstore(place + i, vload(from + i));
      }
      from += n;
      block += channels * n + kVec;
    }
  }
}

// The part of one strip that belongs to one group of row blocks and one channel block.
struct Step {
  int first_block, last_block, channel, channels;
};

void run_step(const ConvGemm& conv, const GemmPlan& p, const Scratch& scratch, const Strip& s, int64_t begin,
              int64_t n_rows, const TileGrid& grid, const Step& step) {
  const int64_t vectors = vectors_of(s.floats), stage_segment = vectors * kVec, stage_row = stage_segment * s.segments;
  const int64_t channel0 = static_cast<int64_t>(s.g) * conv.out.channels + static_cast<int64_t>(s.group) * conv.rows;
  const int64_t segment_out = static_cast<int64_t>(conv.out.width) * conv.out.lanes;
  const int64_t strip_out = (static_cast<int64_t>(s.row) * conv.out.width + s.column) * conv.out.lanes;
  const int64_t stage_columns = p.flat ? static_cast<int64_t>(s.columns) * conv.out.lanes : stage_segment;
  const bool starts = step.channel == 0, ends = step.channel + step.channels == conv.channels,
             to_stage = p.staged || !ends;
  const float* weight = conv.weight + s.group * conv.weight_group + step.channel * conv.weight_channel;
  GemmTileArgs t = {};
  t.vector_channel = s.channel;
  t.scalar_row = conv.weight_row;
  t.taps = scratch.taps;
  t.n_taps = static_cast<int>(p.n_taps);
  t.n_channels = p.n_taps > 0 ? step.channels : 0;
  t.start_row = stage_row;
  t.out_row = to_stage ? stage_row : conv.out.plane();
  t.accumulate = !to_stage && conv.accumulate;
  t.activation = to_stage ? ActivationSpec{Activation::kNone, 0, 0} : conv.activation;
  int64_t first_row;
  int rows;
  block_of(n_rows, step.first_block, grid.row_blocks, &first_row, &rows);
  if (p.gather_weights)
    gather_weights(conv, weight + (begin + first_row) * conv.weight_row, grid, n_rows, step.first_block,
                   step.last_block, step.channels, scratch.weight);
  for (int rb = step.first_block; rb < step.last_block; rb++) {
    int64_t row;
    block_of(n_rows, rb, grid.row_blocks, &row, &rows);
    float* out = conv.out.data + (channel0 + begin + row) * conv.out.plane();
    float* row_stage = scratch.stage + (p.partial ? row - first_row : 0) * stage_row;
    t.scalars = p.gather_weights ? scratch.weight + (row - first_row) * conv.weight_row * step.channels +
                                       (rb - step.first_block) * kVec
                                 : weight + (begin + row) * conv.weight_row;
    t.scalar_channel = p.gather_weights ? rows * conv.weight_row : conv.weight_channel;
    t.bias = starts && conv.bias ? conv.bias + s.group * conv.rows + begin + row : nullptr;
    for (int segment = 0; segment < s.segments; segment++)
      for (int vb = 0; vb < grid.vector_blocks; vb++) {
        int64_t v;
        int n;
        block_of(vectors, vb, grid.vector_blocks, &v, &n);
        float* stage = row_stage + segment * stage_segment + v * kVec;
        t.vectors = s.packed + step.channel * s.channel + segment * s.pitch + v * kVec;
        t.start = starts ? nullptr : stage;
        t.out = to_stage ? stage : out + strip_out + segment * segment_out + v * kVec;
        t.last = v + n == vectors && !to_stage ? static_cast<int>(s.floats - (vectors - 1) * kVec) : kVec;
        gemm_tile(rows, n)(t);
      }
    if (!p.staged || !ends) continue;
    for (int r = 0; r < rows; r++)
      scatter(conv, s, row_stage + r * stage_row, stage_columns, out + r * conv.out.plane());
  }
}

// Output rows [begin, end) of one strip's group of channels.
void run_strip(const ConvGemm& conv, const GemmPlan& p, const Scratch& scratch, const Strip& s, int64_t begin,
               int64_t end) {
  const TileGrid grid = tile_grid(end - begin, vectors_of(s.floats));
  for (int first = 0; first < grid.row_blocks; first += p.group_blocks) {
    const int last = first + p.group_blocks < grid.row_blocks ? first + p.group_blocks : grid.row_blocks;
    for (int channel = 0; channel < conv.channels; channel += p.channel_block) {
      const int channels = conv.channels - channel < p.channel_block ? conv.channels - channel : p.channel_block;
      run_step(conv, p, scratch, s, begin, end - begin, grid, {first, last, channel, channels});
    }
  }
}

// Packs the channels of a strip, or points at the source where that is laid out right already.
void prepare_strip(const ConvGemm& conv, const GemmPlan& p, const Scratch& scratch, Strip* s) {
  const int lanes = conv.source.lanes;
  const float* source = conv.source.data + (static_cast<int64_t>(s->g) * conv.source.channels +
                                            static_cast<int64_t>(s->group) * conv.channels) *
                                               conv.source.plane();
  const int64_t row_floats = static_cast<int64_t>(s->columns) * lanes;
  s->segments = p.flat ? 1 : s->rows;
  s->floats = p.flat ? s->rows * row_floats : row_floats;
  if (p.direct || p.n_taps == 0) {
    if (p.n_taps > 0) scratch.taps[0] = {0, static_cast<int64_t>(conv.h.tap_first) * conv.kernel_w + conv.w.tap_first};
    s->packed = source + s->row * row_floats;
    s->channel = conv.source.plane();
    s->pitch = 0;
    return;
  }
  const PackLayout layout = pack_layout(p.h, p.w, s->rows, s->columns, lanes);
  TapOffset* tap = scratch.taps;
  for (int mh = 0; mh < p.h.count; mh++)
    for (int mw = 0; mw < p.w.count; mw++, tap++) {
      tap->vectors = tap_offset(layout, p.h, p.w, lanes, mh, mw);
      tap->scalars =
          (static_cast<int64_t>(p.h.tap_first) + mh * p.h.tap_step) * conv.kernel_w + p.w.tap_first + mw * p.w.tap_step;
    }
  for (int c = 0; c < conv.channels; c++)
    pack_plane(layout, p.h, p.w, source + c * conv.source.plane(), conv.source.height, conv.source.width, lanes, s->row,
               s->column, scratch.packed + c * layout.channel);
  s->packed = scratch.packed;
  s->channel = layout.channel;
  s->pitch = layout.pitch;
}

}  // namespace

void conv_gemm(const ConvGemm& conv, int part, int n_parts, void* memory) {
  if (conv.h.out <= 0 || conv.w.out <= 0) return;
  const GemmPlan p = plan_gemm(kShape, conv);
  const Scratch scratch = cut_scratch(p, memory);
  // Many output channels: each part takes some of them, so that weights are read once in all. Else each part takes
  // output rows.
  const int64_t channels = static_cast<int64_t>(conv.groups) * conv.rows,
                lines = static_cast<int64_t>(conv.source.groups) * conv.h.out;
  const bool by_channels = channels >= 32 * static_cast<int64_t>(n_parts) || lines < 2 * static_cast<int64_t>(n_parts);
  int64_t channel_begin = 0, channel_end = channels, line_begin = 0, line_end = lines;
  if (by_channels)
    share(channels, part, n_parts, &channel_begin, &channel_end);
  else
    share(lines, part, n_parts, &line_begin, &line_end);
  if (channel_begin == channel_end) return;
  for (int64_t line = line_begin; line < line_end;) {
    Strip s = {};
    s.g = static_cast<int>(line / conv.h.out);
    s.row = static_cast<int>(line % conv.h.out);
    const int64_t left = conv.h.out - s.row < line_end - line ? conv.h.out - s.row : line_end - line;
    s.rows = left < p.strip_rows ? static_cast<int>(left) : p.strip_rows;
    line += s.rows;
    for (s.column = 0; s.column < conv.w.out; s.column += p.strip_columns) {
      s.columns = conv.w.out - s.column < p.strip_columns ? conv.w.out - s.column : p.strip_columns;
      for (int64_t group = channel_begin / conv.rows; group * conv.rows < channel_end; group++) {
        const int64_t first = group * conv.rows;
        s.group = static_cast<int>(group);
        prepare_strip(conv, p, scratch, &s);
        run_strip(conv, p, scratch, s, channel_begin > first ? channel_begin - first : 0,
                  channel_end < first + conv.rows ? channel_end - first : conv.rows);
      }
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
