// The axes of a product of two tensors in the roles that its loops have, and its scratch memory.
// Never here: multiply-adds, packing.
#ifndef EDGECL_KERNELS_PLAN_MATMUL_PLAN_H_
#define EDGECL_KERNELS_PLAN_MATMUL_PLAN_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

struct MatmulAxis {
  int64_t size, a, b, y;  // strides in floats
};

// Axes of size 1 are left out, and neighbours that lie together are one.
struct MatmulPlan {
  Tensor a, b;                           // exchanged where the vector axis is one of a
  int64_t a_offset, b_offset, y_offset;  // floats
  MatmulAxis row, column;                // an axis of a and y alone, and one of b and y; of size 1 where there is none
  MatmulAxis outer[kMatmulAxes], inner[kMatmulAxes];  // the other axes of y, and those that are summed
  int n_outer, n_inner;
  bool flat;  // one batch row whose columns are the lanes: y's stride is 1, at most one axis is summed
};
MatmulPlan plan_matmul(const MatmulArgs& args);

// One batch row: columns that do not lie together are packed, this many at a time, fewer where sums are long.
constexpr int64_t kMatmulPanel = 48, kMatmulPanelFloats = 256 * kMatmulPanel;

// Several batch rows: this many terms of a sum are packed at once, in vectors of the lanes, for the rows of one tile and
// for as many columns as make so many vectors; so both stay near, however far their elements lie apart.
constexpr int64_t kMatmulTerms = 256, kMatmulNearTerms = 64, kMatmulColumnVectors = 2048, kMatmulTileRows = 4;

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_MATMUL_PLAN_H_
