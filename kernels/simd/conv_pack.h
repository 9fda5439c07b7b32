// Packing of a strip of a source plane as pack_layout (plan/conv_axis.h) lays it out.
// Never here: multiply-adds, tile shapes, the split of work.
#ifndef EDGECL_KERNELS_SIMD_CONV_PACK_H_
#define EDGECL_KERNELS_SIMD_CONV_PACK_H_

#include "kernels/plan/conv_axis.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// Packs the strip of output rows [row, row + p.rows) and columns [column, column + p.columns) of one source plane; may
// write kVec floats past the strip.
void pack_plane(const PackLayout& p, const Axis& h, const Axis& w, const float* plane, int height, int width, int lanes,
                int row, int column, float* packed);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_CONV_PACK_H_
