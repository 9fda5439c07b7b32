// Linear layer, dense or sparse.
// Never here: the kernels' loops.
#include "runtime/core/ops/layer.h"

namespace edgecl {
namespace {

struct Linear {
  using Forward = call::linear_forward;
  using BackwardData = call::linear_backward_data;
  using BackwardWeight = call::linear_backward_weight;
  using SparseForward = call::sparse_linear_forward;
  using SparseBackwardData = call::sparse_linear_backward_data;
  using SparseBackwardWeight = call::sparse_linear_backward_weight;
  template <class Args>
  static void attributes(const format::OpRecord&, Args*) {}
};

Status check(const OpCheck& c) {
  if (c.x().height != 1 || c.x().width != 1) {
    return corrupt("OPS", c.index, "inputs", "expected a tensor of height and width 1 (reshape first), found %u x %u",
                   c.x().height, c.x().width);
  }
  EDGECL_RETURN_IF_FAILED(c.output_shape(c.y().channels, 1, 1));
  if (!c.has_param(0)) return corrupt("OPS", c.index, "params", "expected a weight in place 0, found none");
  const format::ParamRecord& weight = c.param(0);
  const bool sparse = weight.storage == format::kStorageSparse;  // sparse [O][I], dense [I][O]
  if (weight.rank != 2 || weight.dims[sparse ? 1 : 0] != c.x().channels ||
      weight.dims[sparse ? 0 : 1] != c.y().channels) {
    return corrupt("OPS", c.index, "params", "expected a weight of %u inputs and %u outputs, found another shape",
                   c.x().channels, c.y().channels);
  }
  return check_layer(c);
}

constexpr OpRule rule() {
  OpRule rule = layer_rule<Linear>();
  rule.check = check;
  return rule;
}

}  // namespace

const OpRule ops::linear = rule();

}  // namespace edgecl
