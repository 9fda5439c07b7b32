// Checks, counts and operands of layers.
// Never here: kernels, shapes and attributes of one kind of layer.
#include "runtime/core/ops/layer.h"

namespace edgecl {

Status check_layer(const OpCheck& c) {
  if (c.has_param(1)) {
    EDGECL_RETURN_IF_FAILED(c.vector_param(1, c.y().channels));
    if (c.param(1).trainable != 0 && c.param(0).trainable == 0) {
      return corrupt("OPS", c.index, "params", "expected a frozen bias beside a frozen weight, found a trainable one");
    }
  }
  return Status();
}

uint64_t layer_macs(const Plan& plan, const format::OpRecord& op, bool sparse) {
  const format::ParamRecord& weight = plan.params[op.params[0]];
  const format::TensorRecord& y = plan.tensors[op.output];
  return (sparse ? param_stored(weight) : param_size(weight)) * y.height * y.width;
}

LayerForward::LayerForward(const Pass& pass, uint32_t index)
    : op(pass.op(index)),
      param(op.params[0]),
      sparse(pass.is_sparse(param)),
      x(pass.tensor(op.inputs[0])),
      y(pass.tensor(op.output)),
      weight(pass.value(param)),
      bias(pass.value(op.params[1])),
      activation(op_activation(op)) {}

LayerBackward::LayerBackward(const Pass& pass, const format::BackwardRecord& record)
    : op(pass.op(record.op)),
      param(op.params[0]),
      sparse(pass.is_sparse(param)),
      x(pass.tensor(op.inputs[0])),
      dy(pass.tensor(record.output_gradient)),
      dx(pass.tensor_or_null(record.input_gradient[0], op.inputs[0])),
      weight(pass.value(param)),
      dweight(pass.skips_gradient(param) ? nullptr : pass.gradient(record, 0)),
      dbias(pass.gradient(record, 1)),
      accumulate((record.accumulate & 1) != 0) {}

}  // namespace edgecl
