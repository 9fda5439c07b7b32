// The one register tile of all dense forward and input-gradient kernels and of the linear layers: R rows of scalars
// against Q vectors. Never here: packing, borders, layer shapes.
#ifndef EDGECL_KERNELS_SIMD_GEMM_TILE_H_
#define EDGECL_KERNELS_SIMD_GEMM_TILE_H_

#include "kernels/plan/conv_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

constexpr int kMaxTileVectors = 12;
// Accumulators, the vectors of one step and one broadcast must stay in registers; a single row may read its vectors
// from memory. Every tile is about a kilobyte of code, so there is none whose multiply-adds are hidden no better than
// those of a smaller one or of one that suits the same layers.
constexpr int kRegisters = EDGECL_VECTOR_BYTES == 32 ? 16 : 32;
constexpr bool tile_fits(int rows, int vectors) {
  return rows * vectors + (rows > 1 ? vectors : 1) + 1 <= kRegisters && rows * vectors <= 26 &&
         (rows > 1 || vectors <= 8) && (rows > 3 || rows * vectors <= 12) && rows != 7 &&
         (rows != 6 || kRegisters == 16);
}

// out[r][p] = chain over (channel, tap) of fma(scalars[r * scalar_row + channel * scalar_channel + tap.scalars],
//                                              vectors[channel * vector_channel + tap.vectors + p], acc), p < floats of
//                                              the tile.
struct GemmTileArgs {
  const float *vectors, *scalars;
  int64_t vector_channel, scalar_row, scalar_channel;
  const TapOffset* taps;
  int n_taps, n_channels;
  // Start of the chain: start[r * start_row + p]; else bias[r]; else +0 (both null).
  const float* start;
  int64_t start_row;
  const float* bias;
  float* out;
  int64_t out_row;
  int last;                   // valid floats of the last vector, 1..kVec
  bool accumulate;            // adds to out; with kNone only
  const float* scale;         // or null; with kNone only: sums are multiplied by it before they are added
  ActivationSpec activation;  // kNone, kRelu or kClip
};

typedef void (*GemmTile)(const GemmTileArgs& args);
GemmTile gemm_tile(int rows, int vectors);

// How `rows` x `vectors` are cut into tiles that fit: counts of blocks, each of balanced size (use block_of).
struct TileGrid {
  int row_blocks, vector_blocks;
};
TileGrid tile_grid(int64_t rows, int64_t vectors);
// Largest tile row count that tile_grid(rows, vectors) leads to is (rows + row_blocks - 1) / row_blocks.
EDGECL_INLINE void block_of(int64_t n, int64_t block, int64_t blocks, int64_t* begin, int* size) {
  const int64_t first = n * block / blocks;
  *begin = first;
  *size = static_cast<int>(n * (block + 1) / blocks - first);
}
EDGECL_INLINE int64_t vectors_of(int64_t floats) {
  return (floats + kVec - 1) / kVec;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_GEMM_TILE_H_
