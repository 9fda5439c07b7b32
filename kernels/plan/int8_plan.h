// How int8 convolutions cut their work.
// Never here: anything of an instruction set.
#ifndef EDGECL_KERNELS_PLAN_INT8_PLAN_H_
#define EDGECL_KERNELS_PLAN_INT8_PLAN_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

constexpr int kInt8Tile = 12;         // positions: what the largest tile takes; groups of positions are multiples of it
constexpr int kInt8Positions = 48;    // of a group at most
constexpr int64_t kInt8Pack = 98304;  // bytes that a group's packed windows may take, if more than one tile then fits

// Windows of a group of positions, packed: one row of K values a position, 2 bytes each where bytes are widened.
struct Int8Plan {
  int64_t k_groups;    // K in groups of kInt8Group
  int64_t row_values;  // from one row to the next
  int positions;       // of a group, a multiple of kInt8Tile
};
EDGECL_ALWAYS_INLINE inline Int8Plan plan_int8_conv(const Int8ConvArgs& a) {
  const int64_t k = static_cast<int64_t>(a.shape.kernel_h) * a.shape.kernel_w * a.x.channels;
  const int64_t row = round_up(k, 16);
  const int positions = limit(kInt8Pack / (row * 2) / kInt8Tile * kInt8Tile, kInt8Tile, kInt8Positions);
  return {(k + kInt8Group - 1) / kInt8Group, row, positions};
}

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_INT8_PLAN_H_
