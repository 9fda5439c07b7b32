// Plans and scratch memory of the sparse linear kernels.
// Never here: the kernels.
#include "kernels/plan/sparse_linear_plan.h"

namespace edgecl::plan {
namespace {

// Vectors of one channel of the batch, each group in whole ones.
int64_t batch_vectors(const Tensor& t, int64_t floats) {
  return t.groups * ((t.lanes + floats - 1) / floats);
}
// Whether the tensor as it lies is [channel][batch_vectors][floats].
bool lies_padded(const Tensor& t, int floats) {
  return t.groups == 1 && t.lanes % floats == 0;
}

uint64_t gather_bytes(const VectorShape& shape, const Tensor& source, const SparsePattern& pattern) {
  const LinearGatherPlan p = plan_linear_gather(shape, source, pattern);
  ScratchCursor cursor = {nullptr, 0};
  cursor.take<float>(p.padded_whole);
  cursor.take<float>(p.padded_half);
  cursor.take<float>(p.chains);
  cursor.take<float>(p.chains_half);
  return cursor.used;
}

}  // namespace

LinearGatherPlan plan_linear_gather(const VectorShape& shape, const Tensor& source, const SparsePattern& pattern) {
  LinearGatherPlan p = {};
  const int kVec = shape.floats, half_vec = half_floats(shape);
  if (source.rows() == 1) {
    p.whole = 1;
    p.direct = true;
  } else {
    p.half = half_vec < kVec && source.groups == 1 && source.lanes % kVec > 0 && source.lanes <= kVec + half_vec &&
             source.lanes % kVec <= half_vec;
    p.whole = p.half ? source.lanes / kVec : batch_vectors(source, kVec);
    p.direct = p.half ? source.lanes == half_vec : p.whole <= kMaxVectors && lies_padded(source, kVec);
  }
  const int64_t whole = (p.whole < kMaxVectors ? p.whole : kMaxVectors) * kVec, half = p.half ? half_vec : 0;
  if (!p.direct) {
    p.padded_whole = pattern.channel_block * whole;
    p.padded_half = pattern.channel_block * half;
  }
  p.chains = pattern.rows * whole;
  p.chains_half = pattern.rows * half;
  return p;
}

LinearGradientPlan plan_linear_gradient(const VectorShape& shape, const SparseLinearBackwardWeightArgs& a) {
  const int floats = half_floats(shape);
  LinearGradientPlan p = {};
  p.vectors = batch_vectors(a.x, floats);
  p.pitch = a.x.rows() == 1 ? 1 : p.vectors * floats;
  p.as_it_lies = lies_padded(a.x, floats) || a.x.rows() == 1;
  // Of many rows all have a number beside them that does not lie so: there it makes no difference to the size.
  if (p.as_it_lies && a.x.lanes <= kExactRows) return p;
  p.dy = p.pitch * a.dy.channels;
  p.x = p.pitch * a.pattern.channel_block;
  return p;
}

}  // namespace edgecl::plan

namespace edgecl {

using namespace plan;

uint64_t ScratchTable::sparse_linear_forward_scratch_bytes(const SparseLinearForwardArgs& a) const {
  return tiled.floats == 1 ? 0 : gather_bytes(tiled, a.x, a.pattern);
}

uint64_t ScratchTable::sparse_linear_backward_data_scratch_bytes(const SparseLinearBackwardDataArgs& a) const {
  return tiled.floats == 1 ? 0 : gather_bytes(tiled, a.dy, a.transposed);
}

uint64_t ScratchTable::sparse_linear_backward_weight_scratch_bytes(const SparseLinearBackwardWeightArgs& a) const {
  if (tiled.floats == 1) return 0;
  const LinearGradientPlan p = plan_linear_gradient(tiled, a);
  ScratchCursor cursor = {nullptr, 0};
  cursor.take<float>(p.dy);
  cursor.take<float>(p.x);
  return cursor.used;
}

}  // namespace edgecl
