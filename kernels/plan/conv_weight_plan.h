// How a dense convolution's weight gradient is cut: blocks of chunks of dY, input channels packed at once.
// Never here: multiply-adds, packing, the arithmetic order.
#ifndef EDGECL_KERNELS_PLAN_CONV_WEIGHT_PLAN_H_
#define EDGECL_KERNELS_PLAN_CONV_WEIGHT_PLAN_H_

#include "kernels/plan/conv_axis.h"

namespace edgecl::plan {

constexpr int kMaxWeightRows = 4;     // of a register tile
constexpr int kMaxWeightColumns = 9;  // the same
// At most this many chunks in all take the form of few positions; above, the sums over lanes no longer dominate and
// positions lie better in the lanes.
constexpr int kFewChunks = 8;

// `chunks` successive chunks of 16 floats; `valid` < 16 only in a run of one short chunk, whose other lanes are left
// alone and which no run follows.
struct ChunkRun {
  int64_t x, dy;  // floats from a column's base; from a row's base in the tensor dY
  int32_t chunks, valid;
};

struct ConvWeightPlan {
  Axis h, w;
  int64_t row_floats, plane_floats, plane_chunks, chunks;
  bool few;           // few output positions in all: gradients in the lanes
  bool flat;          // no halo: each tap column has its own copy, so that chunks may run over row ends
  int segments;       // planes that a block of chunks can touch
  PackLayout layout;  // of one segment
  int channels;       // input channels packed at once
  int64_t taps;
  int64_t run_floats, column_floats, packed_floats;  // scratch, in this order
  int64_t lane_floats, chunk_floats;                 // behind these; never both
};
ConvWeightPlan plan_conv_weight(const VectorShape& shape, const ConvBackwardWeightArgs& a);

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_CONV_WEIGHT_PLAN_H_
