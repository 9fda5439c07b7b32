// The tile loop that the three linear kernels share.
// Never here: layouts of one kernel alone.
#ifndef EDGECL_KERNELS_SIMD_LINEAR_TILES_H_
#define EDGECL_KERNELS_SIMD_LINEAR_TILES_H_

#include "kernels/simd/gemm_tile.h"

namespace edgecl::EDGECL_LEVEL {

// All rows x floats of t, whose scalars, vectors, start and out point at the first; the last vector is stored in part.
// bias is not used. grid: tile_grid(rows, vectors_of(floats)), which takes as long as a small product.
EDGECL_INLINE void run_tiles(GemmTileArgs t, int64_t rows, int64_t floats, const TileGrid& grid) {
  const int64_t vectors = vectors_of(floats);
  const GemmTileArgs whole = t;
  for (int vb = 0; vb < grid.vector_blocks; vb++) {
    int64_t v;
    int n;
    block_of(vectors, vb, grid.vector_blocks, &v, &n);
    t.vectors = whole.vectors + v * kVec;
    t.last = v + n == vectors ? static_cast<int>(floats - (vectors - 1) * kVec) : kVec;
    for (int rb = 0; rb < grid.row_blocks; rb++) {
      int64_t row;
      int m;
      block_of(rows, rb, grid.row_blocks, &row, &m);
      t.scalars = whole.scalars + row * whole.scalar_row;
      t.start = whole.start ? whole.start + row * whole.start_row + v * kVec : nullptr;
      t.bias = whole.bias ? whole.bias + row : nullptr;
      t.out = whole.out + row * whole.out_row + v * kVec;
      gemm_tile(m, n)(t);
    }
  }
}
EDGECL_INLINE void run_tiles(const GemmTileArgs& t, int64_t rows, int64_t floats) {
  run_tiles(t, rows, floats, tile_grid(rows, vectors_of(floats)));
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_LINEAR_TILES_H_
