// Scratch memory of the streamed kernels. All sizes rise with the batch.
// Never here: the kernels.
#include "kernels/plan/streamed_plan.h"

namespace edgecl {
namespace {

uint64_t row_bytes(const Tensor& t) {
  return (static_cast<uint64_t>(t.width) * static_cast<uint64_t>(t.lanes) + kVirtualLanes) * sizeof(float);
}

uint64_t pool_bytes(const PoolArgs& a) {
  const int64_t lanes = a.x.lanes;
  return static_cast<uint64_t>(plan::with_slack(a.x.width * lanes) + plan::with_slack(a.y.width * lanes)) *
         sizeof(float);
}

uint64_t pool_bytes(const PoolBackwardArgs& a) {
  return static_cast<uint64_t>(plan::with_slack(a.dy.plane()) +
                               plan::with_slack(a.dx.width * static_cast<int64_t>(a.dx.lanes))) *
         sizeof(float);
}

}  // namespace

// Kernels whose scalar form needs none.
#define EDGECL_SCRATCH(name, Args, bytes)                            \
  uint64_t ScratchTable::name##_scratch_bytes(const Args& a) const { \
    return streamed.floats == 1 ? 0 : static_cast<uint64_t>(bytes);  \
  }
EDGECL_SCRATCH(group_norm_forward, GroupNormForwardArgs,
               3 * sizeof(float) * static_cast<uint64_t>(plan::with_slack(int64_t{kVirtualLanes} * a.x.lanes)))
EDGECL_SCRATCH(l2_normalize_forward, L2NormalizeForwardArgs,
               sizeof(float) * static_cast<uint64_t>(plan::normalize_lanes(a.x)))
EDGECL_SCRATCH(l2_normalize_backward, L2NormalizeBackwardArgs,
               2 * sizeof(float) * static_cast<uint64_t>(plan::normalize_lanes(a.x)))
EDGECL_SCRATCH(layer_norm_forward, LayerNormForwardArgs,
               sizeof(float) *
                   static_cast<uint64_t>(plan::normalize_lanes(a.x) + 2 * plan::with_slack(plan::kNormalizeColumns)))
EDGECL_SCRATCH(layer_norm_backward_data, LayerNormBackwardDataArgs,
               2 * sizeof(float) * static_cast<uint64_t>(plan::normalize_lanes(a.x)))
EDGECL_SCRATCH(softmax_forward, SoftmaxForwardArgs, 2 * sizeof(float) * static_cast<uint64_t>(plan::softmax_lanes(a.x)))
EDGECL_SCRATCH(softmax_backward, SoftmaxBackwardArgs, sizeof(float) * static_cast<uint64_t>(plan::softmax_lanes(a.y)))
EDGECL_SCRATCH(binary_forward, BinaryArgs, row_bytes(a.a))
EDGECL_SCRATCH(binary_backward, BinaryBackwardArgs, row_bytes(a.dy))
EDGECL_SCRATCH(max_pool_forward, PoolArgs, pool_bytes(a))
EDGECL_SCRATCH(max_pool_backward, PoolBackwardArgs, pool_bytes(a))
EDGECL_SCRATCH(average_pool_forward, PoolArgs, pool_bytes(a))
EDGECL_SCRATCH(average_pool_backward, PoolBackwardArgs, pool_bytes(a))
EDGECL_SCRATCH(hd_bundle_majority, HdBundleArgs,
               static_cast<uint64_t>(a.n_layers + 1) * plan::kBundleWords * sizeof(uint64_t))
EDGECL_SCRATCH(input_normalize, InputArgs, a.is_u8 ? plan::kInputTable * sizeof(float) : 0)
#undef EDGECL_SCRATCH

uint64_t ScratchTable::group_norm_backward_scratch_bytes(const GroupNormBackwardArgs& a) const {
  if (streamed.floats == 1) return static_cast<uint64_t>(a.dy.rows()) * 2 * sizeof(float);
  return static_cast<uint64_t>(plan::group_norm_gradient_pieces(a).floats()) * sizeof(float);
}

// Kernels that need none.
#define EDGECL_NO_SCRATCH(name, Args)                              \
  uint64_t ScratchTable::name##_scratch_bytes(const Args&) const { \
    return 0;                                                      \
  }
EDGECL_NO_SCRATCH(batch_norm_forward, BatchNormForwardArgs)
EDGECL_NO_SCRATCH(batch_norm_backward, BatchNormBackwardArgs)
EDGECL_NO_SCRATCH(activation_forward, ActivationForwardArgs)
EDGECL_NO_SCRATCH(activation_backward, ActivationBackwardArgs)
EDGECL_NO_SCRATCH(accumulate, AccumulateArgs)
EDGECL_NO_SCRATCH(concat_forward, ConcatArgs)
EDGECL_NO_SCRATCH(concat_backward, ConcatBackwardArgs)
EDGECL_NO_SCRATCH(layer_norm_backward_weight, LayerNormBackwardWeightArgs)
EDGECL_NO_SCRATCH(prelu_forward, PreluForwardArgs)
EDGECL_NO_SCRATCH(prelu_backward, PreluBackwardArgs)
EDGECL_NO_SCRATCH(extremum_forward, ExtremumForwardArgs)
EDGECL_NO_SCRATCH(extremum_backward, ExtremumBackwardArgs)
EDGECL_NO_SCRATCH(strided_forward, StridedForwardArgs)
EDGECL_NO_SCRATCH(strided_backward, StridedBackwardArgs)
EDGECL_NO_SCRATCH(place_forward, PlaceForwardArgs)
EDGECL_NO_SCRATCH(place_backward, PlaceBackwardArgs)
EDGECL_NO_SCRATCH(reduce_forward, ReduceForwardArgs)
EDGECL_NO_SCRATCH(reduce_backward, ReduceBackwardArgs)
EDGECL_NO_SCRATCH(global_average_pool_forward, GlobalPoolArgs)
EDGECL_NO_SCRATCH(global_average_pool_backward, GlobalPoolBackwardArgs)
EDGECL_NO_SCRATCH(cross_entropy, CrossEntropyArgs)
EDGECL_NO_SCRATCH(logits_mse, LogitsMseArgs)
EDGECL_NO_SCRATCH(sgd_update, SgdArgs)
EDGECL_NO_SCRATCH(hd_accumulate, HdAccumulateArgs)
EDGECL_NO_SCRATCH(hd_signs, HdSignsArgs)
#undef EDGECL_NO_SCRATCH

}  // namespace edgecl
