// Plan and scratch memory of the dense convolution's weight gradient.
// Never here: the gradient.
#include "kernels/plan/conv_weight_plan.h"

namespace edgecl::plan {
namespace {

int64_t chunks_of(int64_t floats) {
  return (floats + kVirtualLanes - 1) / kVirtualLanes;
}

bool is_few(const Tensor& dy) {
  return dy.groups == 1 && chunks_of(dy.plane()) <= kFewChunks;
}

bool is_flat(const Tensor& dy) {
  const int64_t row_floats = static_cast<int64_t>(dy.width) * dy.lanes;
  return is_few(dy) || row_floats % 16 != 0 || row_floats < 64;
}

// Sizes belong to the class of the batch: of its smallest where fewer rows touch more, of its largest where more rows
// take more. Whether chunks run over row ends is a matter of the batch itself.
ConvWeightPlan plan_form(const VectorShape& shape, const ConvBackwardWeightArgs& a, bool flat) {
  const ConvShape& s = a.shape;
  ConvWeightPlan p = {};
  p.h = forward_axis(s.kernel_h, s.stride_h, s.dilation_h, s.pad_top, a.dy.height);
  p.w = forward_axis(s.kernel_w, s.stride_w, s.dilation_w, s.pad_left, a.dy.width);
  p.taps = static_cast<int64_t>(s.kernel_h) * s.kernel_w;
  p.row_floats = static_cast<int64_t>(a.dy.width) * a.dy.lanes;
  p.plane_floats = a.dy.plane();
  p.plane_chunks = chunks_of(p.plane_floats);
  p.chunks = p.plane_chunks * a.dy.groups;
  p.few = is_few(a.dy);
  p.flat = flat;
  if (p.flat) separate_phases(&p.w);
  const RowClass lanes = row_class(a.dy.lanes);
  const int64_t cells = static_cast<int64_t>(a.dy.height) * a.dy.width;
  const int64_t plane_chunks = chunks_of(cells * lanes.low), row_floats = a.dy.width * lanes.low;
  const int64_t groups =
      a.dy.groups > 1 ? row_class(static_cast<int64_t>(a.dy.groups) * a.dy.lanes).high / a.dy.lanes : a.dy.groups;
  int64_t rows = a.dy.height, segments = groups;
  if (plane_chunks >= kGradientChunks) {
    const int64_t touched = (kGradientChunks * 16 + row_floats - 1) / row_floats + 1;
    rows = touched < rows ? touched : rows;
    segments = segments < 2 ? segments : 2;
  } else {
    const int64_t touched = kGradientChunks / plane_chunks + 2;
    segments = touched < segments ? touched : segments;
  }
  p.segments = static_cast<int>(segments);
  p.layout = pack_layout(p.h, p.w, rows, a.dy.width, a.dy.lanes);
  const int64_t layout_floats = pack_layout(p.h, p.w, rows, a.dy.width, lanes.high).channel;
  const int64_t pack_floats = shape.floats == 4 ? 32 * 1024 : 96 * 1024;  // packed input channels of a block of chunks
  const int64_t channels = a.x.channels / s.groups,
                fit = pack_floats / (layout_floats * segments + (p.few ? p.taps * p.plane_floats : 0));
  const int64_t blocks = fit < 1 ? channels : (channels + fit - 1) / fit;
  p.channels = static_cast<int>((channels + blocks - 1) / blocks);
  const int64_t n_runs = segments * (p.flat ? 2 : rows);
  const int64_t n_columns = round_up(p.channels * p.taps + kMaxWeightColumns, shape.floats);
  p.run_floats = round_up(n_runs * static_cast<int64_t>(sizeof(ChunkRun) / sizeof(float)), 16);
  p.column_floats = round_up(n_columns * static_cast<int64_t>(sizeof(int64_t) / sizeof(float)), 16);
  p.packed_floats = round_up(layout_floats * segments * p.channels + shape.floats, 16);
  const int64_t chunks = chunks_of(cells * lanes.high) * groups;
  p.chunk_floats = p.few ? 0 : (chunks < kGradientChunks ? chunks : kGradientChunks) * 16 * kMaxWeightRows;
  p.lane_floats = p.few ? round_up(p.channels * p.taps, shape.floats) * p.plane_floats : 0;
  return p;
}

uint64_t bytes_of(const ConvWeightPlan& p) {
  return static_cast<uint64_t>(p.run_floats + p.column_floats + p.packed_floats + p.lane_floats + p.chunk_floats) *
         sizeof(float);
}

}  // namespace

ConvWeightPlan plan_conv_weight(const VectorShape& shape, const ConvBackwardWeightArgs& a) {
  return plan_form(shape, a, is_flat(a.dy));
}

}  // namespace edgecl::plan

namespace edgecl {

using namespace plan;

uint64_t ScratchTable::conv_backward_weight_scratch_bytes(const ConvBackwardWeightArgs& a) const {
  if (tiled.floats == 1) return 0;
  if (a.dy.lanes <= kExactRows) return bytes_of(plan_conv_weight(tiled, a));
  const uint64_t flat = bytes_of(plan_form(tiled, a, true)), halo = bytes_of(plan_form(tiled, a, false));
  return flat > halo ? flat : halo;
}

}  // namespace edgecl
