// How int8 convolutions cut their work.
// Never here: anything of an instruction set.
#ifndef EDGECL_KERNELS_PLAN_INT8_PLAN_H_
#define EDGECL_KERNELS_PLAN_INT8_PLAN_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

constexpr int kInt8Tile = 12;         // positions: what the largest tile takes; groups of positions are multiples of it
constexpr int kInt8Positions = 48;    // of a group at most
constexpr int64_t kInt8Pack = 98304;  // bytes that a group's packed windows may take, if more than one tile then fits

constexpr int kInt8FewChannels = 64;  // up to so many outputs, packing windows would take longer than multiplying

// Windows of a group of positions, packed: one row of K values a position, 2 bytes each where bytes are widened. Or, for
// few channels, the input rows of a strip of output rows within their border, out of which windows are read in place.
struct Int8Plan {
  int64_t k_groups;    // K in groups of kInt8Group
  int64_t row_values;  // from one row to the next
  int positions;       // of a group, a multiple of kInt8Tile
  bool in_place;
  int rows;       // output rows of a strip
  int64_t pixel;  // values of an input position; 4 where there are 3 channels, with weights of 0 for the fourth
  int64_t pitch;  // values of an input row with its border
  // Bytes that the weights with a fourth channel take, before the input rows.
  EDGECL_ALWAYS_INLINE int64_t weight_bytes(const Int8ConvArgs& a) const {
    return in_place && pixel != a.x.channels ? k_groups * kInt8Group * round_up(a.y.channels, kInt8Channels) : 0;
  }
  EDGECL_ALWAYS_INLINE int64_t image_rows(const ConvShape& s, int64_t out_rows) const {
    return (out_rows - 1) * s.stride_h + static_cast<int64_t>(s.kernel_h - 1) * s.dilation_h + 1;
  }
};
EDGECL_ALWAYS_INLINE inline Int8Plan plan_int8_conv(const VectorShape& shape, const Int8ConvArgs& a) {
  const int64_t k = static_cast<int64_t>(a.shape.kernel_h) * a.shape.kernel_w * a.x.channels;
  const int64_t row = round_up(k, 16);
  const int positions = limit(kInt8Pack / (row * 2) / kInt8Tile * kInt8Tile, kInt8Tile, kInt8Positions);
  Int8Plan p = {(k + kInt8Group - 1) / kInt8Group, row, positions, false, 0, 0, 0};
  // A line of a window must be whole groups.
  const ConvShape& s = a.shape;
  p.pixel = a.x.channels == 3 ? 4 : a.x.channels;
  if (shape.floats < 8 || s.kernel_h * s.kernel_w == 1 || s.dilation_w != 1 || a.y.channels > kInt8FewChannels ||
      s.kernel_w * p.pixel % kInt8Group != 0)
    return p;
  p.pitch = (static_cast<int64_t>(a.y.width - 1) * s.stride_w + s.kernel_w) * p.pixel;
  const int64_t most = kInt8Pack / (2 * p.pitch), halo = p.image_rows(s, 1);
  p.in_place = most >= halo;
  p.rows = p.in_place ? static_cast<int>((most - halo) / s.stride_h + 1) : 0;
  if (p.in_place && p.pixel != a.x.channels) p.k_groups = static_cast<int64_t>(s.kernel_h) * s.kernel_w;
  return p;
}

constexpr int kInt8Neighbours = 4;              // outputs of a row that are computed side by side
constexpr int64_t kInt8DepthwiseBytes = 49152;  // of a strip's input rows, where a strip is more than one output row

// Windows of 3x3 and 5x5 share columns between neighbours, which read rows that hold their border; other windows have
// one row of the border.
struct Int8DepthwisePlan {
  bool neighbours;
  int64_t rows;   // output rows of a strip
  int64_t pitch;  // bytes of a packed row
};
EDGECL_ALWAYS_INLINE inline Int8DepthwisePlan plan_int8_depthwise(const Int8ConvArgs& a) {
  const ConvShape& s = a.shape;
  const bool square = s.kernel_h == s.kernel_w && (s.kernel_w == 3 || s.kernel_w == 5) && s.dilation_w == 1 &&
                      s.dilation_h == 1 && s.stride_w <= 2 && s.stride_h == s.stride_w;
  if (!square) return {false, 1, round_up(static_cast<int64_t>(a.x.width) * a.x.channels, kInt8Channels)};
  const int64_t outputs = a.y.width < kInt8Neighbours ? kInt8Neighbours : a.y.width;
  const int64_t pitch = ((outputs - 1) * s.stride_w + s.kernel_w) * a.x.channels;
  const int64_t most = kInt8DepthwiseBytes / pitch - s.kernel_h;
  return {true, most < 0 ? 1 : most / s.stride_h + 1, pitch};
}

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_INT8_PLAN_H_
