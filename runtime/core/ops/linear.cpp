// Linear layer, dense or sparse.
// Never here: the kernels' loops.
#include "runtime/core/ops/layer.h"

namespace edgecl {
namespace {

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

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const LayerForward l(pass, index);
  if (kHasSparse && kHasSparse && l.sparse) {
    emit<call::sparse_linear_forward>(visitor, {l.x, l.y, pass.pattern(l.param), l.weight, l.bias, l.activation});
  } else {
    emit<call::linear_forward>(visitor, {l.x, l.y, l.weight, l.bias, l.activation});
  }
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const LayerBackward l(pass, record);
  if (l.dx.data != nullptr && kHasSparse && l.sparse) {
    emit<call::sparse_linear_backward_data>(
        visitor, {l.dy, l.dx, pass.transposed(l.param), pass.transposed_value(l.param), l.accumulate});
  } else if (l.dx.data != nullptr) {
    emit<call::linear_backward_data>(visitor, {l.dy, l.dx, l.weight, l.accumulate});
  }
  if (l.dweight != nullptr && kHasSparse && l.sparse) {
    emit<call::sparse_linear_backward_weight>(
        visitor, {l.x, l.dy, pass.pattern(l.param), pass.selected(l.param), l.dweight, l.dbias});
  } else if (l.dweight != nullptr) {
    emit<call::linear_backward_weight>(visitor, {l.x, l.dy, l.dweight, l.dbias});
  }
}

constexpr OpRule rule() {
  OpRule rule = layer_rule();
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  return rule;
}

}  // namespace

const OpRule ops::linear = rule();

}  // namespace edgecl
