// What layers with a weight and a bias share: convolution and linear, dense and sparse.
// Never here: shapes and attributes of one kind of layer.
#ifndef EDGECL_RUNTIME_CORE_OPS_LAYER_H_
#define EDGECL_RUNTIME_CORE_OPS_LAYER_H_

#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {

// The bias (after the shapes were checked) and the limit of multiply-adds.
Status check_layer(const OpCheck& c);
// Each weight (of a grouped convolution too) meets every output position once.
uint64_t layer_macs(const Plan& plan, const format::OpRecord& op, bool sparse);
// The weight gradient reads the input.
uint32_t layer_reads(const format::OpRecord& op, const format::BackwardRecord& record);

// `Layer` names the six kernels, and Layer::attributes(op, &args) writes what its kernels take beyond tensors and
// weights.
template <class Layer>
void layer_forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const uint32_t weight = op.params[0];
  auto fill = [&](auto* args) {
    args->x = pass.tensor(op.inputs[0]);
    args->y = pass.tensor(op.output);
    args->bias = pass.value(op.params[1]);
    args->activation = op_activation(op);
    Layer::attributes(op, args);
  };
  if (pass.is_sparse(weight)) {
    typename Layer::SparseForward::Args args = {};
    fill(&args);
    args.pattern = pass.pattern(weight);
    args.value = pass.value(weight);
    emit<typename Layer::SparseForward>(visitor, args);
    return;
  }
  typename Layer::Forward::Args args = {};
  fill(&args);
  args.weight = pass.value(weight);
  emit<typename Layer::Forward>(visitor, args);
}

template <class Layer>
void layer_backward(const Pass& pass, const format::BackwardRecord& record, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(record.op);
  const uint32_t weight = op.params[0];
  const bool sparse = pass.is_sparse(weight);
  const Tensor dy = pass.tensor(record.output_gradient);
  if (record.input_gradient[0] != format::kNone) {
    auto fill = [&](auto* args) {
      args->dy = dy;
      args->dx = pass.tensor_or_null(record.input_gradient[0], op.inputs[0]);
      args->accumulate = (record.accumulate & 1) != 0;
      Layer::attributes(op, args);
    };
    if (sparse) {
      typename Layer::SparseBackwardData::Args args = {};
      fill(&args);
      args.transposed = pass.transposed(weight);
      args.value = pass.transposed_value(weight);
      emit<typename Layer::SparseBackwardData>(visitor, args);
    } else {
      typename Layer::BackwardData::Args args = {};
      fill(&args);
      args.weight = pass.value(weight);
      emit<typename Layer::BackwardData>(visitor, args);
    }
  }
  float* gradient = pass.skips_gradient(weight) ? nullptr : pass.gradient(record, 0);
  if (gradient == nullptr) return;
  auto fill = [&](auto* args) {
    args->x = pass.tensor(op.inputs[0]);
    args->dy = dy;
    args->dbias = pass.gradient(record, 1);
    Layer::attributes(op, args);
  };
  if (sparse) {
    typename Layer::SparseBackwardWeight::Args args = {};
    fill(&args);
    args.pattern = pass.pattern(weight);
    args.selected = pass.selected(weight);
    args.dvalue = gradient;
    emit<typename Layer::SparseBackwardWeight>(visitor, args);
  } else {
    typename Layer::BackwardWeight::Args args = {};
    fill(&args);
    args.dweight = gradient;
    emit<typename Layer::BackwardWeight>(visitor, args);
  }
}

// Everything but check, shown_kind and the names of the kernels.
template <class Layer>
constexpr OpRule layer_rule() {
  OpRule rule;
  rule.max_params = 2;
  rule.activation = OpActivation::kFused;
  rule.layer = true;
  rule.forward = layer_forward<Layer>;
  rule.backward = layer_backward<Layer>;
  rule.backward_reads = layer_reads;
  rule.macs = layer_macs;
  return rule;
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_LAYER_H_
