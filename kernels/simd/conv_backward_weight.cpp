// Dense convolution, weight and bias gradient: blocks of kGradientChunks chunks of dY, X packed so that every tap is an
// offset. Never here: the register tile, the arithmetic order (both in conv_weight_tile).
#include "kernels/kernel_declarations.h"
#include "kernels/simd/conv_pack.h"
#include "kernels/simd/conv_weight_few.h"
#include "kernels/simd/conv_weight_tile.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

struct Scratch {
  ChunkRun* runs;
  int64_t* columns;
  float *packed, *lanes, *chunks;  // `lanes` or `chunks`, never both
};
Scratch cut_scratch(const ConvWeightPlan& p, void* memory) {
  float* columns = static_cast<float*>(memory) + p.run_floats;
  float* packed = columns + p.column_floats;
  return {static_cast<ChunkRun*>(memory), reinterpret_cast<int64_t*>(columns), packed, packed + p.packed_floats,
          packed + p.packed_floats};
}

// Fills the runs of chunks [begin, end) and returns how many; on_segment(i, g, row) is told that segment i of the
// packed strip holds batch group g from output row `row` on.
template <typename OnSegment>
int list_runs(const ConvWeightPlan& p, const ConvBackwardWeightArgs& a, int64_t begin, int64_t end, ChunkRun* runs,
              OnSegment on_segment) {
  int n = 0, index = 0;
  for (int64_t at = begin; at < end; index++) {
    const int64_t g = at / p.plane_chunks, first = at % p.plane_chunks * 16;
    const int64_t plane_end = (g + 1) * p.plane_chunks, stop = plane_end < end ? plane_end : end;
    const int64_t last = stop == plane_end ? p.plane_floats : (stop - g * p.plane_chunks) * 16;
    const int64_t row = first / p.row_floats, segment = index * p.layout.channel;
    on_segment(index, static_cast<int>(g), static_cast<int>(row));
    const int64_t dy = g * a.dy.channels * p.plane_floats;
    if (p.flat) {
      const int64_t whole = (last - first) / 16, x = segment + first - row * p.row_floats;
      if (whole > 0) runs[n++] = {x, dy + first, static_cast<int32_t>(whole), 16};
      if ((last - first) % 16 != 0)
        runs[n++] = {x + whole * 16, dy + first + whole * 16, 1, static_cast<int32_t>((last - first) % 16)};
    } else {
      for (int64_t from = first; from < last;) {
        const int64_t r = from / p.row_floats, row_end = (r + 1) * p.row_floats, to = row_end < last ? row_end : last;
        runs[n++] = {segment + (r - row) * p.layout.pitch + from - r * p.row_floats, dy + from,
                     static_cast<int32_t>((to - from) / 16), 16};
        from = to;
      }
    }
    at = stop;
  }
  return n;
}

// Adds (or, in the first block, writes) the sums of one tile.
void store_sums(const float* sums, int rows, int columns, int row_sums, bool first, float* dweight, int64_t row) {
  for (int r = 0; r < rows; r++, dweight += row, sums += row_sums)
    for (int q = 0; q < columns; q++) dweight[q] = first ? sums[q] : dweight[q] + sums[q];
}

// Weight gradient of output channels [out_begin, out_end) and input channels [in_begin, in_end) of one group.
void group_gradient(const ConvBackwardWeightArgs& a, const ConvWeightPlan& p, const Scratch& s, int group,
                    int64_t out_begin, int64_t out_end, int64_t in_begin, int64_t in_end) {
  const int64_t in_channels = a.x.channels / a.shape.groups, out_channels = a.dy.channels / a.shape.groups;
  const int64_t dweight_row = in_channels * p.taps, first_out = group * out_channels;
  alignas(64) float sums[kMaxWeightSums];
  for (int64_t begin = 0; begin < p.chunks; begin += kGradientChunks) {
    const int64_t end = begin + kGradientChunks < p.chunks ? begin + kGradientChunks : p.chunks;
    for (int64_t channel = in_begin; channel < in_end; channel += p.channels) {
      const int channels = static_cast<int>(in_end - channel < p.channels ? in_end - channel : p.channels);
      const int64_t packed_channel = p.layout.channel * p.segments;
      const int n_runs = list_runs(p, a, begin, end, s.runs, [&](int index, int g, int row) {
        const float* plane =
            a.x.data + (static_cast<int64_t>(g) * a.x.channels + group * in_channels + channel) * a.x.plane();
        for (int c = 0; c < channels; c++)
          pack_plane(p.layout, p.h, p.w, plane + c * a.x.plane(), a.x.height, a.x.width, a.x.lanes, row, 0,
                     s.packed + c * packed_channel + index * p.layout.channel);
      });
      int64_t* column = s.columns;
      for (int c = 0; c < channels; c++)
        for (int mh = 0; mh < p.h.count; mh++)
          for (int mw = 0; mw < p.w.count; mw++)
            *column++ = c * packed_channel + tap_offset(p.layout, p.h, p.w, a.x.lanes, mh, mw);
      const int64_t columns = channels * p.taps;
      for (int i = 0; i < kMaxWeightColumns; i++) column[i] = column[-1];
      float* dweight = a.dweight + (first_out + out_begin) * dweight_row + channel * p.taps;
      const float* dy = a.dy.data + (first_out + out_begin) * p.plane_floats;
      if (p.few) {
        columns_to_lanes(s.packed, s.columns, columns, p.plane_floats, s.lanes);
        few_positions_gradient(
            {s.lanes, p.plane_floats, columns, dy, p.plane_floats, out_end - out_begin, dweight, dweight_row});
        continue;
      }
      int tile_rows = 1, tile_columns = 1;
      weight_tile_shape(out_end - out_begin, columns, &tile_rows, &tile_columns);
      WeightTileArgs t;
      t.x = s.packed;
      t.dy = s.chunks;
      t.runs = s.runs;
      t.n_runs = n_runs;
      t.sums = sums;
      for (int64_t o = 0; o < out_end - out_begin; o += tile_rows) {
        const int rows = static_cast<int>(out_end - out_begin - o < tile_rows ? out_end - out_begin - o : tile_rows);
        pack_chunks(dy + o * p.plane_floats, p.plane_floats, rows, s.runs, n_runs, s.chunks);
        for (int64_t c = 0; c < columns; c += tile_columns) {
          const int n = static_cast<int>(columns - c < tile_columns ? columns - c : tile_columns);
          t.columns = s.columns + c;
          const int of_tile = kWeightColumns[n];
          weight_tile(rows, of_tile)(t);
          store_sums(sums, rows, n, of_tile, begin == 0, dweight + o * dweight_row + c, dweight_row);
        }
      }
    }
  }
}

float bias_gradient(const ConvBackwardWeightArgs& a, const ConvWeightPlan& p, int64_t o) {
  float total = 0.0f;
  vec16 lanes = zero16();
  int64_t number = 0;
  for (int64_t g = 0; g < a.dy.groups; g++) {
    const float* plane = a.dy.data + (g * a.dy.channels + o) * p.plane_floats;
    for (int64_t i = 0; i < p.plane_floats; i += 16) {
      if (number > 0 && number % kGradientChunks == 0) {
        total = number == kGradientChunks ? tree16(lanes) : total + tree16(lanes);
        lanes = zero16();
      }
      number++;
      if (p.plane_floats - i >= 16) {
        lanes = add16(lanes, load16(plane + i));
      } else {
        float t[16];
        store16(t, lanes);
        for (int64_t k = 0; i + k < p.plane_floats; k++) t[k] += plane[i + k];
        lanes = load16(t);
      }
    }
  }
  return number <= kGradientChunks ? tree16(lanes) : total + tree16(lanes);
}

}  // namespace

void conv_backward_weight(const ConvBackwardWeightArgs& a, int part, int n_parts, void* memory) {
  const ConvWeightPlan p = plan_conv_weight(kShape, a);
  const Scratch s = cut_scratch(p, memory);
  const int64_t in_channels = a.x.channels / a.shape.groups, out_channels = a.dy.channels / a.shape.groups;
  int64_t out_begin = 0, out_end = a.dy.channels, in_begin = 0, in_end = in_channels;
  // Packing is repeated by every part that shares input channels, so these are split where there are enough.
  if (in_channels >= out_channels && in_channels >= 8 * static_cast<int64_t>(n_parts))
    share(in_channels, part, n_parts, &in_begin, &in_end);
  else
    share(a.dy.channels, part, n_parts, &out_begin, &out_end);
  if (in_begin < in_end)
    for (int64_t group = out_begin / out_channels; group * out_channels < out_end; group++) {
      const int64_t first = group * out_channels;
      group_gradient(a, p, s, static_cast<int>(group), out_begin > first ? out_begin - first : 0,
                     out_end < first + out_channels ? out_end - first : out_channels, in_begin, in_end);
    }
  if (!a.dbias) return;
  share(a.dy.channels, part, n_parts, &out_begin, &out_end);
  for (int64_t o = out_begin; o < out_end; o++) a.dbias[o] = bias_gradient(a, p, o);
}

}  // namespace edgecl::EDGECL_LEVEL
