// What layers with a weight and a bias share: convolution and linear, dense and sparse.
// Never here: kernels, shapes and attributes of one kind of layer.
#ifndef EDGECL_RUNTIME_CORE_OPS_LAYER_H_
#define EDGECL_RUNTIME_CORE_OPS_LAYER_H_

#include "runtime/core/ops/op_calls.h"
#include "runtime/core/ops/op_check.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {

// The bias, after the shapes were checked.
Status check_layer(const OpCheck& c);
// Each weight (of a grouped convolution too) meets every output position once.
uint64_t layer_macs(const Plan& plan, const format::OpRecord& op, bool sparse);

// What the kernels of a layer take, whatever its kind.
struct LayerForward {
  const format::OpRecord& op;
  uint32_t param;  // of the weight
  bool sparse;
  Tensor x, y;
  const float *weight, *bias;
  ActivationSpec activation;

  LayerForward(const Pass& pass, uint32_t index);
};
struct LayerBackward {
  const format::OpRecord& op;
  uint32_t param;
  bool sparse;
  Tensor x, dy, dx;  // dx.data null: not wanted
  const float* weight;
  float *dweight, *dbias;  // dweight null: neither is wanted
  bool accumulate;

  LayerBackward(const Pass& pass, const format::BackwardRecord& record);
};

// Everything but check, forward, backward and shown_kind.
constexpr OpRule layer_rule() {
  OpRule rule;
  rule.max_params = 2;
  rule.activation = OpActivation::kFused;
  rule.layer = true;
  rule.backward_reads = 1;
  rule.macs = layer_macs;
  return rule;
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_OPS_LAYER_H_
