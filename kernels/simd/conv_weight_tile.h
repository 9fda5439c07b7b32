// The register tile of convolution weight gradients: R output channels against Q (input channel, tap) columns, 16
// virtual lanes each, and the tree that ends a block. Never here: packing, layer shapes.
#ifndef EDGECL_KERNELS_SIMD_CONV_WEIGHT_TILE_H_
#define EDGECL_KERNELS_SIMD_CONV_WEIGHT_TILE_H_

#include "kernels/plan/conv_weight_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

constexpr int kWeightAccumulators = EDGECL_VECTOR_BYTES == 64 ? 27 : EDGECL_VECTOR_BYTES == 32 ? 12 : 24;
constexpr int kMaxWeightSums = 32;  // rows * columns of a tile, rounded up to whole vectors
// There are tiles of 1, 2, 3, 4, 6 and 9 columns. Fewer columns that are left over take the next tile, with any valid
// offsets in place of the columns that are missing.
constexpr int kWeightColumns[kMaxWeightColumns + 1] = {0, 1, 2, 3, 4, 6, 6, 9, 9, 9};

struct WeightTileArgs {
  const float* x;
  const int64_t* columns;  // [Q] offsets of the columns from x
  const float* dy;         // as pack_chunks leaves it
  const ChunkRun* runs;
  int n_runs;
  float* sums;  // [R][Q], room for kMaxWeightSums
};

// The chunks of `rows` rows of dY, `dy_row` floats apart, as one stream [part of the 16 lanes][chunk][row][kVec].
void pack_chunks(const float* dy, int64_t dy_row, int rows, const ChunkRun* runs, int n_runs, float* packed);

typedef void (*WeightTile)(const WeightTileArgs& args);
WeightTile weight_tile(int rows, int columns);  // columns: one of kWeightColumns
// Rows and columns of the tile that suits a gradient of this size.
void weight_tile_shape(int64_t rows, int64_t columns, int* tile_rows, int* tile_columns);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_CONV_WEIGHT_TILE_H_
