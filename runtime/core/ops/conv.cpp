// Convolution in two dimensions: dense, grouped, depthwise; sparse with one group.
// Never here: the kernels' loops.
#include "runtime/core/ops/layer.h"
#include "runtime/core/ops/window.h"

namespace edgecl {
namespace {

struct Conv {
  using Forward = call::conv_forward;
  using BackwardData = call::conv_backward_data;
  using BackwardWeight = call::conv_backward_weight;
  using SparseForward = call::sparse_conv_forward;
  using SparseBackwardData = call::sparse_conv_backward_data;
  using SparseBackwardWeight = call::sparse_conv_backward_weight;
  template <class Args>
  static void attributes(const format::OpRecord& op, Args* args) {
    args->shape = op_conv_shape(op);
  }
};

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

// One weight serves one output, so its cost is another.
const char* shown_kind(const Plan& plan, const format::OpRecord& op) {
  const bool depthwise = op.groups > 1 && static_cast<uint32_t>(op.groups) == plan.tensors[op.inputs[0]].channels;
  return depthwise ? "depthwise" : "conv";
}

constexpr OpRule rule() {
  OpRule rule = layer_rule<Conv>();
  rule.check = check;
  rule.shown_kind = shown_kind;
  return rule;
}

}  // namespace

const OpRule ops::conv = rule();

}  // namespace edgecl
