// Convolution in two dimensions: dense, grouped, depthwise; sparse with one group.
// Never here: the kernels' loops.
#include "runtime/core/ops/layer.h"
#include "runtime/core/ops/window.h"

namespace edgecl {
namespace {

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_window(c));
  const format::OpRecord& op = c.op;
  const uint32_t channels_in = c.x().channels, channels_out = c.y().channels;
  EDGECL_RETURN_IF_FAILED(c.range("groups", op.groups, 1, channels_in));
  const uint32_t groups = static_cast<uint32_t>(op.groups);
  if (channels_in % groups != 0 || channels_out % groups != 0) {
    return corrupt("OPS", c.index, "groups", "expected a divisor of %u and %u channels, found %u", channels_in,
                   channels_out, groups);
  }
  if (!c.has_param(0)) return corrupt("OPS", c.index, "params", "expected a weight in place 0, found none");
  const format::ParamRecord& weight = c.param(0);
  const bool fits = weight.rank == 4 && weight.dims[0] == channels_out && weight.dims[1] == channels_in / groups &&
                    weight.dims[2] == static_cast<uint32_t>(op.kernel_h) &&
                    weight.dims[3] == static_cast<uint32_t>(op.kernel_w);
  if (!fits) {
    return corrupt("OPS", c.index, "params", "expected a weight of %u x %u x %d x %d, found another shape",
                   channels_out, channels_in / groups, op.kernel_h, op.kernel_w);
  }
  if (weight.storage == format::kStorageSparse && groups != 1) {
    return corrupt("OPS", c.index, "groups", "expected 1 for a sparse weight, found %u", groups);
  }
  const WindowAxis h = window_height(c), w = window_width(c);
  EDGECL_RETURN_IF_FAILED(c.output_shape(channels_out, static_cast<uint64_t>(window_positions(h)),
                                         static_cast<uint64_t>(window_positions(w))));
  return check_layer(c);
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const LayerForward l(pass, index);
  if (kHasSparse && kHasSparse && l.sparse) {
    emit<call::sparse_conv_forward>(
        visitor, {l.x, l.y, pass.pattern(l.param), l.weight, l.bias, op_conv_shape(l.op), l.activation});
  } else {
    emit<call::conv_forward>(visitor, {l.x, l.y, l.weight, l.bias, op_conv_shape(l.op), l.activation});
  }
}

void backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const LayerBackward l(pass, record);
  if (l.dx.data != nullptr && kHasSparse && l.sparse) {
    emit<call::sparse_conv_backward_data>(visitor, {l.dy, l.dx, pass.transposed(l.param),
                                                    pass.transposed_value(l.param), op_conv_shape(l.op), l.accumulate});
  } else if (l.dx.data != nullptr) {
    emit<call::conv_backward_data>(visitor, {l.dy, l.dx, l.weight, op_conv_shape(l.op), l.accumulate});
  }
  if (l.dweight != nullptr && kHasSparse && l.sparse) {
    emit<call::sparse_conv_backward_weight>(
        visitor, {l.x, l.dy, pass.pattern(l.param), pass.selected(l.param), l.dweight, l.dbias, op_conv_shape(l.op)});
  } else if (l.dweight != nullptr) {
    emit<call::conv_backward_weight>(visitor, {l.x, l.dy, l.dweight, l.dbias, op_conv_shape(l.op)});
  }
}

// One weight serves one output, so its cost is another.
const char* shown_kind(const Plan& plan, const format::OpRecord& op) {
  const bool depthwise = op.groups > 1 && static_cast<uint32_t>(op.groups) == plan.tensors[op.inputs[0]].channels;
  return depthwise ? "depthwise" : "conv";
}

constexpr OpRule rule() {
  OpRule rule = layer_rule();
  rule.check = check;
  rule.forward = forward;
  rule.backward = backward;
  rule.shown_kind = shown_kind;
  return rule;
}

}  // namespace

const OpRule ops::conv = rule();

}  // namespace edgecl
