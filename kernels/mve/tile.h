// Sums of four positions and 16 channels, and how they become an int8 layer's outputs.
// Never here: how sums are made.
#ifndef EDGECL_KERNELS_MVE_TILE_H_
#define EDGECL_KERNELS_MVE_TILE_H_

#include "kernels/dsp/window.h"
#include "kernels/mve/vectors.h"

namespace edgecl::mve {

constexpr int kPositions = 4;
using Sums = int32_t[kPositions][kInt8Channels];

// Outputs o .. o + 15 of `rows` positions from p on. `zero_point`: what the values have that were summed; each sum is
// corrected by it times the sum of the channel's weights.
void finish(const Int8ConvArgs& a, const Sums& sums, int32_t p, int32_t rows, int32_t o, int32_t zero_point);

// The places of a tile's positions; of those behind the last one this one once more.
struct Places {
  dsp::Window at[kPositions];
  int32_t rows;
};
Places places_of(const Int8ConvArgs& a, int32_t p, int32_t end);

}  // namespace edgecl::mve

#endif  // EDGECL_KERNELS_MVE_TILE_H_
