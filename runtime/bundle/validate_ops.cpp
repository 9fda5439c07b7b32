// One check per operator: with it, kernels may assume every index, shape, stride, group and divisor.
// Never here: checks of the backward list.
#include "runtime/bundle/validate.h"

namespace edgecl {
namespace {

using format::OpRecord;
using format::ParamRecord;
using format::TensorRecord;

// The op under check with its shapes; index checks are done when an OpCheck exists.
struct OpCheck {
  const Plan& plan;
  uint32_t index;
  const OpRecord& op;

  const TensorRecord& x(uint32_t i = 0) const { return plan.tensors[op.inputs[i]]; }
  const TensorRecord& y() const { return plan.tensors[op.output]; }
  const ParamRecord& param(uint32_t i) const { return plan.params[op.params[i]]; }
  bool has_param(uint32_t i) const { return op.params[i] != format::kNone; }

  Status range(const char* field, int64_t value, int64_t low, int64_t high) const {
    if (value >= low && value <= high) return Status();
    return corrupt("OPS", index, field, "expected %lld..%lld, found %lld", static_cast<long long>(low),
                   static_cast<long long>(high), static_cast<long long>(value));
  }
  Status output_shape(uint64_t channels, uint64_t height, uint64_t width) const {
    const TensorRecord& found = y();
    if (found.channels == channels && found.height == height && found.width == width) return Status();
    return corrupt("OPS", index, "output", "expected a tensor of %llu x %llu x %llu, found %u x %u x %u", u64(channels),
                   u64(height), u64(width), found.channels, found.height, found.width);
  }
  Status vector_param(uint32_t slot, uint32_t n) const {
    if (has_param(slot) && param_is_vector(param(slot), n)) return Status();
    return corrupt("OPS", index, "params", "expected a dense vector of %u in place %u, found %s", n, slot,
                   has_param(slot) ? "another shape" : "none");
  }
  // Not more inputs and params than the kind takes; slots behind them are empty (checked for all kinds at once).
  Status counts(uint32_t min_inputs, uint32_t max_inputs, uint32_t max_params) const {
    EDGECL_RETURN_IF_FAILED(range("n_inputs", op.n_inputs, min_inputs, max_inputs));
    for (uint32_t i = max_params; i < 4; i++) {
      if (has_param(i))
        return corrupt("OPS", index, "params", "expected none in place %u of %s, found %u", i, op_kind_name(op.kind),
                       op.params[i]);
    }
    return Status();
  }
  Status fusable_activation() const {
    if (op.activation <= static_cast<uint32_t>(Activation::kClip)) return Status();
    return corrupt("OPS", index, "activation", "expected none, relu or clip fused into %s, found %u",
                   op_kind_name(op.kind), op.activation);
  }
  Status no_activation() const { return range("activation", op.activation, 0, 0); }
};

int64_t kernel_extent(int32_t kernel, int32_t dilation) {
  return (static_cast<int64_t>(kernel) - 1) * dilation + 1;
}

// Attributes that convolution and pooling share: after this, no window arithmetic can overflow or divide by zero.
Status check_window(const OpCheck& c) {
  const OpRecord& op = c.op;
  EDGECL_RETURN_IF_FAILED(c.range("kernel_h", op.kernel_h, 1, kMaxTaps));
  EDGECL_RETURN_IF_FAILED(c.range("kernel_w", op.kernel_w, 1, kMaxTaps));
  EDGECL_RETURN_IF_FAILED(c.range("kernel_h * kernel_w", static_cast<int64_t>(op.kernel_h) * op.kernel_w, 1, kMaxTaps));
  EDGECL_RETURN_IF_FAILED(c.range("stride_h", op.stride_h, 1, format::kMaxStride));
  EDGECL_RETURN_IF_FAILED(c.range("stride_w", op.stride_w, 1, format::kMaxStride));
  EDGECL_RETURN_IF_FAILED(c.range("dilation_h", op.dilation_h, 1, format::kMaxStride));
  EDGECL_RETURN_IF_FAILED(c.range("dilation_w", op.dilation_w, 1, format::kMaxStride));
  const int64_t extent_h = kernel_extent(op.kernel_h, op.dilation_h),
                extent_w = kernel_extent(op.kernel_w, op.dilation_w);
  EDGECL_RETURN_IF_FAILED(c.range("pad_top", op.pad_top, 0, extent_h - 1));
  EDGECL_RETURN_IF_FAILED(c.range("pad_bottom", op.pad_bottom, 0, extent_h - 1));
  EDGECL_RETURN_IF_FAILED(c.range("pad_left", op.pad_left, 0, extent_w - 1));
  EDGECL_RETURN_IF_FAILED(c.range("pad_right", op.pad_right, 0, extent_w - 1));
  EDGECL_RETURN_IF_FAILED(c.range(
      "height with padding", static_cast<int64_t>(c.x().height) + op.pad_top + op.pad_bottom, extent_h, INT32_MAX));
  return c.range("width with padding", static_cast<int64_t>(c.x().width) + op.pad_left + op.pad_right, extent_w,
                 INT32_MAX);
}

int64_t window_positions(int64_t size, int64_t pads, int64_t extent, int64_t stride) {
  return (size + pads - extent) / stride + 1;
}

Status check_macs(const OpCheck& c) {
  const uint64_t macs = checked_mul(param_size(c.param(0)), checked_mul(c.y().height, c.y().width));
  if (macs <= format::kMaxOpMacs) return Status();
  return corrupt("OPS", c.index, "output", "expected at most 2^48 multiply-adds per row, found more");
}

Status check_bias(const OpCheck& c) {
  if (!c.has_param(1)) return Status();
  EDGECL_RETURN_IF_FAILED(c.vector_param(1, c.y().channels));
  if (c.param(1).trainable != 0 && c.param(0).trainable == 0) {
    return corrupt("OPS", c.index, "params", "expected a frozen bias beside a frozen weight, found a trainable one");
  }
  return Status();
}

Status check_conv(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.counts(1, 1, 2));
  EDGECL_RETURN_IF_FAILED(c.fusable_activation());
  EDGECL_RETURN_IF_FAILED(check_window(c));
  const OpRecord& op = c.op;
  const uint32_t channels_in = c.x().channels, channels_out = c.y().channels;
  EDGECL_RETURN_IF_FAILED(c.range("groups", op.groups, 1, channels_in));
  const uint32_t groups = static_cast<uint32_t>(op.groups);
  if (channels_in % groups != 0 || channels_out % groups != 0) {
    return corrupt("OPS", c.index, "groups", "expected a divisor of %u and %u channels, found %u", channels_in,
                   channels_out, groups);
  }
  if (!c.has_param(0)) return corrupt("OPS", c.index, "params", "expected a weight in place 0, found none");
  const ParamRecord& weight = c.param(0);
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
  EDGECL_RETURN_IF_FAILED(check_bias(c));
  const int64_t pads_h = static_cast<int64_t>(op.pad_top) + op.pad_bottom,
                pads_w = static_cast<int64_t>(op.pad_left) + op.pad_right;
  EDGECL_RETURN_IF_FAILED(c.output_shape(
      channels_out,
      static_cast<uint64_t>(
          window_positions(c.x().height, pads_h, kernel_extent(op.kernel_h, op.dilation_h), op.stride_h)),
      static_cast<uint64_t>(
          window_positions(c.x().width, pads_w, kernel_extent(op.kernel_w, op.dilation_w), op.stride_w))));
  return check_macs(c);
}

Status check_linear(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.counts(1, 1, 2));
  EDGECL_RETURN_IF_FAILED(c.fusable_activation());
  if (c.x().height != 1 || c.x().width != 1) {
    return corrupt("OPS", c.index, "inputs", "expected a tensor of height and width 1 (reshape first), found %u x %u",
                   c.x().height, c.x().width);
  }
  EDGECL_RETURN_IF_FAILED(c.output_shape(c.y().channels, 1, 1));
  if (!c.has_param(0)) return corrupt("OPS", c.index, "params", "expected a weight in place 0, found none");
  const ParamRecord& weight = c.param(0);
  const bool sparse = weight.storage == format::kStorageSparse;  // sparse [O][I], dense [I][O]
  if (weight.rank != 2 || weight.dims[sparse ? 1 : 0] != c.x().channels ||
      weight.dims[sparse ? 0 : 1] != c.y().channels) {
    return corrupt("OPS", c.index, "params", "expected a weight of %u inputs and %u outputs, found another shape",
                   c.x().channels, c.y().channels);
  }
  EDGECL_RETURN_IF_FAILED(check_bias(c));
  return check_macs(c);
}

Status check_norm(const OpCheck& c) {
  const OpRecord& op = c.op;
  const bool batch = op.kind == format::kOpBatchNorm;
  EDGECL_RETURN_IF_FAILED(c.counts(1, batch ? 2 : 1, batch ? 4 : 2));
  EDGECL_RETURN_IF_FAILED(c.fusable_activation());
  const uint32_t channels = c.x().channels;
  EDGECL_RETURN_IF_FAILED(c.output_shape(channels, c.x().height, c.x().width));
  if (op.n_inputs == 2 && !same_shape(c.x(1), c.x()))
    return corrupt("OPS", c.index, "inputs", "expected a residual of the input's shape, found another");
  for (uint32_t i = 0; i < (batch ? 4u : 2u); i++) EDGECL_RETURN_IF_FAILED(c.vector_param(i, channels));
  if (!(op.epsilon > 0) || !(op.epsilon <= 1))
    return corrupt("OPS", c.index, "epsilon", "expected a number in (0, 1], found another");
  if (!batch) {
    EDGECL_RETURN_IF_FAILED(c.range("i[0] (groups)", op.i[0], 1, channels));
    if (channels % static_cast<uint32_t>(op.i[0]) != 0) {
      return corrupt("OPS", c.index, "i[0] (groups)", "expected a divisor of %u channels, found %d", channels, op.i[0]);
    }
    return Status();
  }
  if (!(op.momentum >= 0) || !(op.momentum <= 1))
    return corrupt("OPS", c.index, "momentum", "expected a number in [0, 1], found another");
  for (uint32_t i = 2; i < 4; i++) {
    if (c.param(i).trainable != 0) {
      return corrupt("OPS", c.index, "params",
                     "expected running statistics with trainable 0 (no gradient reaches them), found 1 in place %u", i);
    }
  }
  const float* variance = c.plan.dense_values(op.params[3]);
  for (uint32_t i = 0; i < channels; i++) {
    if (!(variance[i] >= 0))
      return corrupt("OPS", c.index, "params",
                     "expected running variances of at least 0, found one below in channel %u", i);
  }
  return Status();
}

Status check_activation_op(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.counts(1, 1, 0));
  EDGECL_RETURN_IF_FAILED(c.range("activation", c.op.activation, 1, static_cast<int64_t>(Activation::kHardSigmoid)));
  return c.output_shape(c.x().channels, c.x().height, c.x().width);
}

// One axis of a pooling window: the output size is that of floor or of ceil mode, and each window holds at least one
// input cell, so that no maximum is empty and no average divides by zero.
Status check_pool_axis(const OpCheck& c, const char* field, int64_t size, int64_t out, int64_t kernel, int64_t stride,
                       int64_t dilation, int64_t pad_begin, int64_t pad_end) {
  const int64_t extent = (kernel - 1) * dilation + 1;
  const int64_t floor_size = window_positions(size, pad_begin + pad_end, extent, stride);
  int64_t ceil_size = (size + pad_begin + pad_end - extent + stride - 1) / stride + 1;
  if ((ceil_size - 1) * stride >= size + pad_begin) ceil_size--;  // a window must not begin behind the input
  if (out != floor_size && out != ceil_size) {
    return corrupt("OPS", c.index, field, "expected %lld (floor) or %lld (ceil), found %lld",
                   static_cast<long long>(floor_size), static_cast<long long>(ceil_size), static_cast<long long>(out));
  }
  for (int64_t position = 0; position < out; position++) {
    const int64_t begin = position * stride - pad_begin;
    const int64_t first_tap = begin >= 0 ? 0 : (-begin + dilation - 1) / dilation;
    if (first_tap >= kernel || begin + first_tap * dilation >= size) {
      return corrupt("OPS", c.index, field, "expected an input cell in each window, found none in window %lld",
                     static_cast<long long>(position));
    }
  }
  return Status();
}

Status check_pool(const OpCheck& c) {
  const OpRecord& op = c.op;
  EDGECL_RETURN_IF_FAILED(c.counts(1, 1, 0));
  EDGECL_RETURN_IF_FAILED(c.no_activation());
  EDGECL_RETURN_IF_FAILED(check_window(c));
  EDGECL_RETURN_IF_FAILED(c.range("groups", op.groups, 1, 1));
  if (op.kind == format::kOpAveragePool) EDGECL_RETURN_IF_FAILED(c.range("i[0] (count_include_pad)", op.i[0], 0, 1));
  EDGECL_RETURN_IF_FAILED(c.output_shape(c.x().channels, c.y().height, c.y().width));
  EDGECL_RETURN_IF_FAILED(check_pool_axis(c, "output height", c.x().height, c.y().height, op.kernel_h, op.stride_h,
                                          op.dilation_h, op.pad_top, op.pad_bottom));
  return check_pool_axis(c, "output width", c.x().width, c.y().width, op.kernel_w, op.stride_w, op.dilation_w,
                         op.pad_left, op.pad_right);
}

Status check_global_pool(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.counts(1, 1, 0));
  EDGECL_RETURN_IF_FAILED(c.no_activation());
  return c.output_shape(c.x().channels, 1, 1);
}

Status check_binary(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.counts(1, 2, c.op.n_inputs == 2 ? 0 : 1));
  EDGECL_RETURN_IF_FAILED(c.fusable_activation());
  const TensorRecord& a = c.x();
  EDGECL_RETURN_IF_FAILED(c.output_shape(a.channels, a.height, a.width));
  const uint32_t a_dims[3] = {a.channels, a.height, a.width};
  uint32_t b_dims[3];
  if (c.op.n_inputs == 2) {
    const TensorRecord& b = c.x(1);
    b_dims[0] = b.channels;
    b_dims[1] = b.height;
    b_dims[2] = b.width;
  } else {
    if (!c.has_param(0))
      return corrupt("OPS", c.index, "params", "expected a second input or a constant, found neither");
    const ParamRecord& constant = c.param(0);
    if (constant.storage != format::kStorageDense || constant.rank != 3) {
      return corrupt("OPS", c.index, "params", "expected a dense constant of rank 3, found rank %u", constant.rank);
    }
    for (int d = 0; d < 3; d++) b_dims[d] = constant.dims[d];
  }
  for (int d = 0; d < 3; d++) {
    if (b_dims[d] != a_dims[d] && b_dims[d] != 1) {
      return corrupt("OPS", c.index, "inputs", "expected %u or 1 in axis %d of the second operand, found %u", a_dims[d],
                     d, b_dims[d]);
    }
  }
  return Status();
}

Status check_concat(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.counts(1, kMaxInputs, 0));
  EDGECL_RETURN_IF_FAILED(c.no_activation());
  uint64_t channels = 0;
  for (uint32_t i = 0; i < c.op.n_inputs; i++) {
    if (c.x(i).height != c.x().height || c.x(i).width != c.x().width) {
      return corrupt("OPS", c.index, "inputs", "expected equal height and width, found another in input %u", i);
    }
    channels += c.x(i).channels;
  }
  return c.output_shape(channels, c.x().height, c.x().width);
}

Status check_reshape(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(c.counts(1, 1, 0));
  EDGECL_RETURN_IF_FAILED(c.no_activation());
  const uint32_t input = c.op.inputs[0];
  const uint32_t root = c.x().alias == format::kNone ? input : c.x().alias;
  if (c.y().alias != root)
    return corrupt("OPS", c.index, "output", "expected an alias of tensor %u, found %u", root, c.y().alias);
  return Status();  // equal sizes follow from the alias
}

Status check_kind(const OpCheck& c) {
  switch (c.op.kind) {
    case format::kOpConv:
      return check_conv(c);
    case format::kOpLinear:
      return check_linear(c);
    case format::kOpBatchNorm:
    case format::kOpGroupNorm:
      return check_norm(c);
    case format::kOpActivation:
      return check_activation_op(c);
    case format::kOpMaxPool:
    case format::kOpAveragePool:
      return check_pool(c);
    case format::kOpGlobalAveragePool:
      return check_global_pool(c);
    case format::kOpAdd:
    case format::kOpMul:
      return check_binary(c);
    case format::kOpConcat:
      return check_concat(c);
    case format::kOpReshape:
      return check_reshape(c);
    default:
      return failure(EDGECL_E_BUNDLE_OP,
                     "bundle section OPS, record %u '%s': expected an operator of this version (1..%u), found kind %u; "
                     "use a newer library or export for this one",
                     c.index, c.plan.string(c.op.name), format::kOpReshape, c.op.kind);
  }
}

// Indices and order: every input was written before, every tensor is written once, empty slots are empty.
Status check_indices(const Plan& plan, uint32_t i, bool* written) {
  const OpRecord& op = plan.ops[i];
  if (op.n_inputs < 1 || op.n_inputs > 8) return corrupt("OPS", i, "n_inputs", "expected 1..8, found %u", op.n_inputs);
  for (uint32_t k = 0; k < 8; k++) {
    const uint32_t input = op.inputs[k];
    if (k >= op.n_inputs) {
      if (input != format::kNone) return corrupt("OPS", i, "inputs", "expected none in place %u, found %u", k, input);
      continue;
    }
    if (input >= plan.tensors.n)
      return corrupt("OPS", i, "inputs", "expected a tensor below %u, found %u", plan.tensors.n, input);
    if (!written[input])
      return corrupt("OPS", i, "inputs", "expected a tensor that an earlier op wrote, found %u", input);
  }
  if (op.output >= plan.tensors.n)
    return corrupt("OPS", i, "output", "expected a tensor below %u, found %u", plan.tensors.n, op.output);
  const TensorRecord& output = plan.tensors[op.output];
  if (written[op.output] || output.flags != 0) {
    return corrupt("OPS", i, "output", "expected a tensor that nothing else writes, found %u", op.output);
  }
  if (output.alias != format::kNone && op.kind != format::kOpReshape) {
    return corrupt("OPS", i, "output", "expected a tensor with memory of its own, found an alias");
  }
  for (uint32_t param : op.params) {
    if (param != format::kNone && param >= plan.params.n) {
      return corrupt("OPS", i, "params", "expected a parameter below %u, found %u", plan.params.n, param);
    }
  }
  if (op.flags > (op.kind == format::kOpBatchNorm ? format::kOpFlagFrozen : 0u)) {
    return corrupt("OPS", i, "flags", "expected 0, or 1 for a frozen batch norm, found %u", op.flags);
  }
  if (op.activation > static_cast<uint32_t>(Activation::kHardSigmoid)) {
    return corrupt("OPS", i, "activation", "expected 0..5, found %u", op.activation);
  }
  const float lo = op.activation_lo, hi = op.activation_hi;
  const bool ordered = op.activation != static_cast<uint32_t>(Activation::kClip) || lo <= hi;
  if (!(lo - lo == 0) || !(hi - hi == 0) || !ordered) {
    return corrupt("OPS", i, "activation_lo", "expected finite bounds, the lower one first, found others");
  }
  written[op.output] = true;
  return Status();
}

}  // namespace

Status validate_ops(const Plan& plan) {
  bool written[format::kMaxTensors] = {};
  written[0] = true;
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    EDGECL_RETURN_IF_FAILED(check_indices(plan, i, written));
    EDGECL_RETURN_IF_FAILED(check_kind({plan, i, plan.ops[i]}));
  }
  for (uint32_t t = 0; t < plan.tensors.n; t++) {
    if (plan.tensors[t].flags == 0 && !written[t])
      return corrupt("TENSORS", t, "name", "expected an op that writes the tensor, found none");
  }
  return Status();
}

}  // namespace edgecl
