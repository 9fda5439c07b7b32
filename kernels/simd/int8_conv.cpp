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

// What a tile works on.
struct Place {
  const Int8ConvArgs& a;
  int64_t k_groups, row_values, stride;  // stride: of the table
};

// kRows positions by kVectors accumulators, from channel c on.
template <int kRows, int kVectors>
EDGECL_INLINE void tile(const Place& p, const PanelValue* panel, int64_t c, int8_t* y) {
  const Int8ConvArgs& a = p.a;
  const int64_t block = p.k_groups * kBlockGroup, k_groups = p.k_groups, row_values = p.row_values,
                y_stride = a.y.channels;
  const int8_t* weight[kVectors];
  EDGECL_UNROLL
  for (int v = 0; v < kVectors; v++) {
    const int64_t channel = c + v * kVectorChannels;
    weight[v] = a.weight + channel / kInt8Channels * block + channel % kInt8Channels * kInt8Group;
  }
  ivec acc[kRows][kVectors] = {};
  const auto step = [&](int64_t k, bool whole) EDGECL_INLINE_LAMBDA {
    ivec w[kVectors];
    EDGECL_UNROLL
    for (int v = 0; v < kVectors; v++) w[v] = weight_step(weight[v] + k * kBlockGroup, whole);
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++) {
      const ivec x = panel_step(panel + r * row_values + k * kInt8Group);
      EDGECL_UNROLL
      for (int v = 0; v < kVectors; v++) acc[r][v] = dot(acc[r][v], w[v], x);
      end_row(acc[r]);
    }
  };
  int64_t k = 0;
  for (; k + kStepGroups <= k_groups; k += kStepGroups) step(k, true);
  if (k < k_groups) step(k, false);

  // Requantised in a loop, out of memory: unrolled it would be most of the library's code for int8.
  ivec sums[kVectors / kSums][kRows];
  EDGECL_UNROLL
  for (int v = 0; v < kVectors; v += kSums) {
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++) sums[v / kSums][r] = whole_sums(&acc[r][v]);
  }
  for (int v = 0; v < kVectors / kSums; v++) {
    const int64_t channel = c + v * kVec, left = a.y.channels - channel;
    if (left <= 0) return;
    const int n = static_cast<int>(left < kVec ? left : kVec);
    const LayerFinish f = layer_finish(a, channel, p.stride, a.x.zero_point + kPanelOffset);
    int8_t* to = y + channel;
    for (int r = 0; r < kRows; r++, to += y_stride) f.finish(add_wrapping(sums[v][r], f.start), to, n);
  }
}

// As many whole tiles of kRows as n positions have.
template <int kRows, int kVectors>
__attribute__((noinline)) void tiles(const Place& p, const PanelValue* panel, int n, int64_t c, int8_t* y) {
  for (int r = 0; r + kRows <= n; r += kRows)
    tile<kRows, kVectors>(p, panel + r * p.row_values, c, y + r * p.a.y.channels);
}

template <int kVectors>
EDGECL_INLINE void column(const Place& p, const PanelValue* panel, int n, int64_t c, int8_t* y) {
  const auto behind = [&](int rows) EDGECL_INLINE_LAMBDA {
    panel += rows * p.row_values;
    y += rows * p.a.y.channels;
    n -= rows;
  };
  tiles<kTileRows, kVectors>(p, panel, n, c, y);
  behind(n / kTileRows * kTileRows);
  if constexpr (kTileRows > 4) {
    tiles<4, kVectors>(p, panel, n, c, y);
    behind(n / 4 * 4);
  }
  if constexpr (kTileRows > 1) tiles<1, kVectors>(p, panel, n, c, y);
}

}  // namespace

void int8_conv(const Int8ConvArgs& a, int part, int n_parts, void* scratch) {
  const Int8Plan plan = plan_int8_conv(a);
  PanelValue* const panel = static_cast<PanelValue*>(scratch);
  constexpr int64_t kTileChannels = kTileVectors * kVectorChannels;
  const int64_t positions = a.y.positions(), columns = (a.y.channels + kTileChannels - 1) / kTileChannels;
  const Place place = {a, plan.k_groups, plan.row_values, round_up(a.y.channels, kInt8Channels)};
  // Few positions: the channels are shared out, and each part packs the windows for itself.
  const int64_t tiles_down = (positions + kInt8Tile - 1) / kInt8Tile;
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
    int8_t* const y = a.y.data + position * a.y.channels;
    for (int64_t i = column_begin; i < column_end; i++) {
      const int64_t c = i * kTileChannels;
      if (kTileChannels > kInt8Channels && a.y.channels - c <= kInt8Channels)
        column<kTileVectors / 2>(place, panel, n, c, y);
      else
        column<kTileVectors>(place, panel, n, c, y);
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
