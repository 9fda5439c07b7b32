// Choices and scratch memory of the dense linear kernels.
// Never here: the kernels.
#include "kernels/plan/linear_plan.h"

#include "kernels/plan/conv_plan.h"

namespace edgecl::plan {
namespace {

constexpr int kForwardTranspose = 10;   // percent that outputs in the lanes cost on top
constexpr int kBackwardTranspose = 40;  // the same of inputs
constexpr int kFewOutputs = 16;         // transposing weights of fewer is slow: only for very small batches

bool batch_in_lanes(const VectorShape& shape, int64_t lanes, int64_t features, int64_t extra) {
  const int64_t by_batch = round_up(lanes, shape.floats) * features * 100,
                by_feature = round_up(features, shape.floats) * lanes * (100 + extra);
  return by_batch < by_feature;
}

}  // namespace

bool forward_by_batch(const VectorShape& shape, const LinearForwardArgs& a) {
  return batch_in_lanes(shape, a.x.lanes, a.y.channels, a.x.lanes == 1 ? 0 : kForwardTranspose);
}

bool backward_by_batch(const VectorShape& shape, const LinearBackwardDataArgs& a) {
  if (a.dy.channels < kFewOutputs && a.dx.lanes >= 8) return true;
  return batch_in_lanes(shape, a.dx.lanes, a.dx.channels, kBackwardTranspose);
}

int64_t linear_tap_floats(const LinearBackwardWeightArgs& a) {
  return round_up(a.x.lanes * static_cast<int64_t>(sizeof(TapOffset) / sizeof(float)), 16);
}

int64_t linear_row_pitch(const VectorShape& shape, const LinearBackwardWeightArgs& a) {
  return round_up(a.dy.channels, shape.floats);
}

}  // namespace edgecl::plan

namespace edgecl {

using namespace plan;

uint64_t ScratchTable::linear_forward_scratch_bytes(const LinearForwardArgs& a) const {
  if (tiled.floats == 1 || a.x.lanes == 1 || forward_by_batch(tiled, a)) return 0;
  return static_cast<uint64_t>(a.x.lanes * round_up(a.y.channels, tiled.floats)) * sizeof(float);
}

uint64_t ScratchTable::linear_backward_data_scratch_bytes(const LinearBackwardDataArgs& a) const {
  if (tiled.floats == 1 || backward_by_batch(tiled, a)) return 0;
  return static_cast<uint64_t>(kInputBlock * (kOutputBlock + a.dx.lanes)) * sizeof(float);
}

uint64_t ScratchTable::linear_backward_weight_scratch_bytes(const LinearBackwardWeightArgs& a) const {
  if (tiled.floats == 1) return 0;
  const int64_t rows = linear_needs_transpose(a) ? a.dy.rows() * linear_row_pitch(tiled, a) + tiled.floats : 0;
  return static_cast<uint64_t>(linear_tap_floats(a) + rows) * sizeof(float);
}

}  // namespace edgecl
