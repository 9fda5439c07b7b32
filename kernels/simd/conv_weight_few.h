// Weight gradient of a convolution with few output positions: gradients in the lanes, virtual lanes one after the
// other. Never here: blocks of chunks (one block only), packing of the source.
#ifndef EDGECL_KERNELS_SIMD_CONV_WEIGHT_FEW_H_
#define EDGECL_KERNELS_SIMD_CONV_WEIGHT_FEW_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// X with columns in the lanes: [column vector][position][kVec]. offsets[c] is column c's place in `packed`, positions
// follow each other; offsets needs room for whole vectors (the last is repeated).
void columns_to_lanes(const float* packed, int64_t* offsets, int64_t columns, int64_t positions, float* lanes);

struct FewArgs {
  const float* x;  // as columns_to_lanes leaves it
  int64_t positions, columns;
  const float* dy;  // rows of `positions` floats
  int64_t dy_row, rows;
  float* dweight;
  int64_t dweight_row;
};
// dweight[row][column] for every row and column: 16 chains, one per virtual lane, and the tree.
void few_positions_gradient(const FewArgs& args);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_CONV_WEIGHT_FEW_H_
