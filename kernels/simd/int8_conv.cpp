// Convolution in int8: windows are packed, a group of positions at a time, and multiplied by tiles.
// Never here: the tile's instructions (int8_tile.h), depthwise convolution (int8_depthwise.cpp).
#include "kernels/plan/int8_plan.h"
#include "kernels/simd/int8_tile.h"

EDGECL_DECLARE_DOT_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int64_t kBlockGroup = kInt8Channels * kInt8Group;  // weights of a block of channels and a group of K

typedef PanelValue Sixteen __attribute__((vector_size(16 * sizeof(PanelValue))));

// n bytes as panel values. Reads and writes up to 15 values past the end.
EDGECL_INLINE void pack_run(const int8_t* from, int64_t n, PanelValue* to) {
  typedef int8_t Stored __attribute__((vector_size(16)));
  for (int64_t i = 0; i < n; i += 16) {
    Stored bytes;
    memcpy(&bytes, from + i, sizeof bytes);
    if constexpr (kPanelOffset != 0) bytes = bytes ^ static_cast<int8_t>(-128);
    const Sixteen values = __builtin_convertvector(bytes, Sixteen);
    memcpy(to + i, &values, sizeof values);
  }
}
// n zero points, and up to 15 more.
EDGECL_INLINE void fill_run(Sixteen zeros, int64_t n, PanelValue* to) {
  for (int64_t i = 0; i < n; i += 16) memcpy(to + i, &zeros, sizeof zeros);
}

// The windows of n positions from `position` on, one row each. Rows are written front to back, runs too, so what goes
// past the end of one is written again.
EDGECL_INLINE void pack_windows(const Int8ConvArgs& a, int64_t position, int n, int64_t row_values, PanelValue* panel) {
  const ConvShape s = a.shape;
  const Int8Tensor x = a.x;
  const int64_t channels = x.channels, out_height = a.y.height, out_width = a.y.width;
  const int64_t line_bytes = x.width * channels, image_bytes = x.height * line_bytes;
  if (s.kernel_h * s.kernel_w == 1 && s.stride_h * s.stride_w == 1 && x.height == out_height && x.width == out_width) {
    if (row_values == channels) return pack_run(x.data + position * channels, n * channels, panel);
    for (int i = 0; i < n; i++) pack_run(x.data + (position + i) * channels, channels, panel + i * row_values);
    return;
  }
  const Sixteen zeros = static_cast<PanelValue>(x.zero_point + kPanelOffset) - (Sixteen){};
  int64_t ow = position % out_width, oh = position / out_width % out_height;
  const int8_t* image = x.data + position / out_width / out_height * image_bytes;
  for (int i = 0; i < n; i++, panel += row_values) {
    const int64_t top = oh * s.stride_h - s.pad_top, left = ow * s.stride_w - s.pad_left;
    PanelValue* to = panel;
    for (int ky = 0; ky < s.kernel_h; ky++, to += s.kernel_w * channels) {
      const int64_t h = top + static_cast<int64_t>(ky) * s.dilation_h;
      const int8_t* line = image + h * line_bytes;
      if (h < 0 || h >= x.height) {
        fill_run(zeros, s.kernel_w * channels, to);
      } else if (s.dilation_w == 1 && left >= 0 && left + s.kernel_w <= x.width) {
        pack_run(line + left * channels, s.kernel_w * channels, to);
      } else {
        for (int kx = 0; kx < s.kernel_w; kx++) {
          const int64_t w = left + static_cast<int64_t>(kx) * s.dilation_w;
          if (w < 0 || w >= x.width)
            fill_run(zeros, channels, to + kx * channels);
          else
            pack_run(line + w * channels, channels, to + kx * channels);
        }
      }
    }
    if (++ow < out_width) continue;
    ow = 0;
    if (++oh < out_height) continue;
    oh = 0;
    image += image_bytes;
  }
}

// The same with a value of any kind behind every three, which no weight meets.
EDGECL_INLINE void pack_pixels(const int8_t* from, int64_t n, PanelValue* to) {
  typedef int8_t Stored __attribute__((vector_size(16)));
  for (int64_t i = 0; i < n; i += 12, to += 16) {
    Stored bytes;
    memcpy(&bytes, from + i, sizeof bytes);
    if constexpr (kPanelOffset != 0) bytes = bytes ^ static_cast<int8_t>(-128);
    bytes = __builtin_shufflevector(bytes, bytes, 0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    const Sixteen values = __builtin_convertvector(bytes, Sixteen);
    memcpy(to, &values, sizeof values);
  }
}
// Weights for that.
EDGECL_INLINE void pack_weights(const Int8ConvArgs& a, int64_t taps, int8_t* to) {
  const int64_t block = (taps * 3 + kInt8Group - 1) / kInt8Group * kBlockGroup;
  const int8_t* from = a.weight;
  for (int64_t o = 0; o < a.y.channels; o += kInt8Channels, from += block)
    for (int64_t tap = 0; tap < taps; tap++, to += kBlockGroup)
      for (int64_t i = 0; i < kBlockGroup; i++) {
        const int64_t k = tap * 3 + i % kInt8Group;
        to[i] = i % kInt8Group == 3 ? int8_t{0}
                                    : from[k / kInt8Group * kBlockGroup + i / kInt8Group * kInt8Group + k % kInt8Group];
      }
}

// The input rows that output rows [row, row + rows) of an image meet, each within its border.
EDGECL_INLINE void pack_image(const Int8ConvArgs& a, const Int8Plan& plan, const int8_t* image, int64_t row,
                              int64_t rows, PanelValue* panel) {
  const Int8Tensor x = a.x;
  const Sixteen zeros = static_cast<PanelValue>(x.zero_point + kPanelOffset) - (Sixteen){};
  const int64_t line_bytes = static_cast<int64_t>(x.width) * x.channels, left = a.shape.pad_left * plan.pixel;
  const int64_t first = row * a.shape.stride_h - a.shape.pad_top, lines = plan.image_rows(a.shape, rows);
  const int64_t line = x.width * plan.pixel, there = line < plan.pitch - left ? line : plan.pitch - left;
  for (int64_t i = 0; i < lines; i++, panel += plan.pitch) {
    const int64_t h = first + i;
    if (h < 0 || h >= x.height) {
      fill_run(zeros, plan.pitch, panel);
      continue;
    }
    fill_run(zeros, left, panel);
    if (plan.pixel == x.channels)
      pack_run(image + h * line_bytes, there, panel + left);
    else
      pack_pixels(image + h * line_bytes, there / 4 * 3, panel + left);
    fill_run(zeros, plan.pitch - left - there, panel + left + there);
  }
}

// What a tile works on: windows `step` values apart, of `lines` runs of `line_groups` groups, `pitch` values apart.
struct Place {
  const Int8ConvArgs& a;
  const int8_t* weights;
  int64_t k_groups, step, lines, line_groups, pitch, stride;  // stride: of the table
};

// The sums of n positions from channel c on. One function for all tiles, out of memory: unrolled in each it would be most
// of the library's code for int8.
__attribute__((noinline)) void finish_rows(const Place& p, const ivec* sums, int n, int64_t c, int8_t* to) {
  const Int8ConvArgs& a = p.a;
  const int64_t left = a.y.channels - c, y_stride = a.y.channels;
  const int channels = static_cast<int>(left < kVec ? left : kVec);
  const LayerFinish f = layer_finish(a, c, p.stride, a.x.zero_point + kPanelOffset);
  const ivec start = kSums == 1 ? ivec{} : f.start;
  if (f.usual) {
    const UsualFinish finish = usual_finish(f.finish);
    for (int r = 0; r < n; r++, to += y_stride) finish(add_wrapping(sums[r], start), to, channels);
  } else {
    for (int r = 0; r < n; r++, to += y_stride) f.finish(add_wrapping(sums[r], start), to, channels);
  }
}

// kRows positions by kVectors accumulators, from channel c on.
template <int kRows, int kVectors>
EDGECL_INLINE void tile(const Place& p, const PanelValue* panel, int64_t c, int8_t* y) {
  const Int8ConvArgs& a = p.a;
  const int64_t block = p.k_groups * kBlockGroup, line_groups = p.line_groups, window = p.step;
  const int8_t* weight[kVectors];
  EDGECL_UNROLL
  for (int v = 0; v < kVectors; v++) {
    const int64_t channel = c + v * kVectorChannels;
    weight[v] = p.weights + channel / kInt8Channels * block + channel % kInt8Channels * kInt8Group;
  }
  const int32_t zero_point = a.x.zero_point + kPanelOffset;
  ivec acc[kRows][kVectors];
  EDGECL_UNROLL
  for (int v = 0; v < kVectors; v++) {
    const ivec start = kSums == 1 ? layer_start(a, c + v * kVec, p.stride, zero_point) : ivec{};
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++) acc[r][v] = start;
  }
  const auto step = [&](int64_t k, bool whole) EDGECL_INLINE_LAMBDA {
    ivec w[kVectors];
    EDGECL_UNROLL
    for (int v = 0; v < kVectors; v++) w[v] = weight_step(weight[v] + k * kBlockGroup, whole);
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++) {
      const ivec x = panel_step(panel + r * window + k * kInt8Group);
      EDGECL_UNROLL
      for (int v = 0; v < kVectors; v++) acc[r][v] = dot(acc[r][v], w[v], x);
      end_row(acc[r]);
    }
  };
  for (int64_t line = p.lines;;) {
    int64_t k = 0;
    for (; k + kStepGroups <= line_groups; k += kStepGroups) step(k, true);
    if (k < line_groups) step(k, false);
    if (--line == 0) break;
    panel += p.pitch;
    EDGECL_UNROLL
    for (int v = 0; v < kVectors; v++) weight[v] += line_groups * kBlockGroup;
  }

  ivec sums[kVectors / kSums][kRows];
  EDGECL_UNROLL
  for (int v = 0; v < kVectors; v += kSums) {
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++) sums[v / kSums][r] = whole_sums(&acc[r][v]);
  }
  for (int v = 0; v < kVectors / kSums && c + v * kVec < a.y.channels; v++)
    finish_rows(p, sums[v], kRows, c + v * kVec, y + c + v * kVec);
}

// As many whole tiles of kRows as n positions have.
template <int kRows, int kVectors>
__attribute__((noinline)) void tiles(const Place& p, const PanelValue* panel, int n, int64_t c, int8_t* y) {
  for (int r = 0; r + kRows <= n; r += kRows) tile<kRows, kVectors>(p, panel + r * p.step, c, y + r * p.a.y.channels);
}

// Whole tiles, and what is left by one more that may do some positions again.
template <int kVectors>
EDGECL_INLINE void column(const Place& p, const PanelValue* panel, int n, int64_t c, int8_t* y) {
  tiles<kTileRows, kVectors>(p, panel, n, c, y);
  const int rest = n % kTileRows;
  if (rest == 0) return;
  const auto from = [&](int i) EDGECL_INLINE_LAMBDA { return panel + i * p.step; };
  const auto to = [&](int i) EDGECL_INLINE_LAMBDA { return y + static_cast<int64_t>(i) * p.a.y.channels; };
  if constexpr (kTileRows > 4)
    if (rest > 1 && rest <= 4 && n >= 4) return tiles<4, kVectors>(p, from(n - 4), 4, c, to(n - 4));
  if constexpr (kTileRows > 8)
    if (rest > 4 && rest <= 8 && n >= 8) return tiles<8, kVectors>(p, from(n - 8), 8, c, to(n - 8));
  if (rest > 1 && n >= kTileRows)
    return tiles<kTileRows, kVectors>(p, from(n - kTileRows), kTileRows, c, to(n - kTileRows));
  int done = n - rest;
  if constexpr (kTileRows > 4) {
    tiles<4, kVectors>(p, from(done), n - done, c, to(done));
    done += (n - done) / 4 * 4;
  }
  if constexpr (kTileRows > 1) tiles<1, kVectors>(p, from(done), n - done, c, to(done));
}

}  // namespace

void int8_conv(const Int8ConvArgs& a, int part, int n_parts, void* scratch) {
  const Int8Plan plan = plan_int8_conv(kShape, a);
  PanelValue* panel = static_cast<PanelValue*>(scratch);
  constexpr int64_t kTileChannels = kTileVectors * kVectorChannels;
  const int64_t columns = (a.y.channels + kTileChannels - 1) / kTileChannels, width = a.y.width;
  Place place = {
      a, a.weight, plan.k_groups, plan.row_values, 1, plan.k_groups, 0, round_up(a.y.channels, kInt8Channels)};
  const auto column_of = [&](int64_t i, const PanelValue* from, int n, int8_t* y) EDGECL_INLINE_LAMBDA {
    const int64_t c = i * kTileChannels;
    if (kTileChannels > kInt8Channels && a.y.channels - c <= kInt8Channels)
      column<kTileVectors / 2>(place, from, n, c, y);
    else
      column<kTileVectors>(place, from, n, c, y);
  };
  if (plan.in_place) {
    if (plan.weight_bytes(a) > 0) {
      int8_t* const weights = static_cast<int8_t*>(scratch);
      pack_weights(a, plan.k_groups, weights);
      place.weights = weights;
      panel = reinterpret_cast<PanelValue*>(weights + plan.weight_bytes(a));
    }
    place.step = a.shape.stride_w * plan.pixel;
    place.lines = a.shape.kernel_h;
    place.line_groups = plan.k_groups / a.shape.kernel_h;
    place.pitch = plan.pitch * a.shape.dilation_h;
    int64_t line, end;
    share(static_cast<int64_t>(a.y.rows) * a.y.height, part, n_parts, &line, &end);
    while (line < end) {
      const int64_t image = line / a.y.height, row = line % a.y.height;
      int64_t rows = end - line < a.y.height - row ? end - line : a.y.height - row;
      if (rows > plan.rows) rows = plan.rows;
      pack_image(a, plan, a.x.data + image * a.x.height * a.x.width * a.x.channels, row, rows, panel);
      for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < columns; i++)
          column_of(i, panel + r * a.shape.stride_h * plan.pitch, static_cast<int>(width),
                    a.y.data + (line + r) * width * a.y.channels);
      line += rows;
    }
    return;
  }
  // Few positions: the channels are shared out, and each part packs the windows for itself.
  const int64_t positions = a.y.positions(), tiles_down = (positions + kInt8Tile - 1) / kInt8Tile;
  int64_t position = 0, last = positions, column_begin = 0, column_end = columns;
  if (tiles_down >= n_parts) {
    share(tiles_down, part, n_parts, &position, &last);
    position *= kInt8Tile;
    last = last * kInt8Tile < positions ? last * kInt8Tile : positions;
  } else {
    share(columns, part, n_parts, &column_begin, &column_end);
    if (column_begin == column_end) return;
  }
  for (; position < last; position += plan.positions) {
    const int n = static_cast<int>(last - position < plan.positions ? last - position : plan.positions);
    pack_windows(a, position, n, plan.row_values, panel);
    for (int64_t i = column_begin; i < column_end; i++) column_of(i, panel, n, a.y.data + position * a.y.channels);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
