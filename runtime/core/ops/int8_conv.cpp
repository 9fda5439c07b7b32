// Convolution in int8: of one group, or depthwise. A linear layer is one of a single position.
// Never here: the kernels' loops.
#include "runtime/core/ops/int8.h"
#include "runtime/core/ops/window.h"

namespace edgecl {
namespace {

bool is_depthwise(const format::OpRecord& op) {
  return op.groups > 1;
}

uint64_t padded(uint64_t n, uint64_t to) {
  return (n + to - 1) / to * to;
}

// Where the weight of an output channel and a value of K lies (kernels/int8.h).
struct WeightPlaces {
  uint64_t channels, k, k_groups;  // channels filled up, K of one channel
  bool depthwise;

  explicit WeightPlaces(const OpCheck& c)
      : channels(padded(c.y().channels, kInt8Channels)),
        k(static_cast<uint64_t>(c.op.kernel_h * c.op.kernel_w) * (is_depthwise(c.op) ? 1 : c.x().channels)),
        k_groups(padded(k, kInt8Group) / kInt8Group),
        depthwise(is_depthwise(c.op)) {}
  uint64_t stored_k() const { return depthwise ? k : k_groups * kInt8Group; }
  uint64_t at(uint64_t o, uint64_t i) const {
    if (depthwise) return i * channels + o;
    return ((o / kInt8Channels * k_groups + i / kInt8Group) * kInt8Channels + o % kInt8Channels) * kInt8Group +
           i % kInt8Group;
  }
};

// Of one channel: what is stored of it agrees, and no input brings its sums beyond the limit.
Status check_channel(const OpCheck& c, const WeightPlaces& places, uint64_t o) {
  const int8_t* weight = c.plan.dense_integers<int8_t>(c.op.params[0]);
  const int32_t* table = c.plan.dense_integers<int32_t>(c.op.params[1]) + o;
  const int64_t bias = table[kInt8Bias * places.channels], multiplier = table[kInt8Multiplier * places.channels],
                shift = table[kInt8Shift * places.channels];
  int64_t sum = 0, magnitudes = 0;
  for (uint64_t i = 0; i < places.stored_k(); i++) {
    const int64_t w = int64_t{weight[places.at(o, i)]};
    if (w == -128 || (w != 0 && (o >= c.y().channels || i >= places.k)))
      return corrupt("DATA", c.op.params[0], "values", "expected -127..127, and 0 where there is no weight, found %d",
                     static_cast<int>(w));
    sum += w;
    magnitudes += w < 0 ? -w : w;
  }
  EDGECL_RETURN_IF_FAILED(c.range("table (sum of weights)", table[kInt8Sum * places.channels], sum, sum));
  EDGECL_RETURN_IF_FAILED(c.range("table (multiplier)", multiplier, 0, INT32_MAX));
  EDGECL_RETURN_IF_FAILED(c.range("table (shift)", shift, -31, 30));
  const int64_t zero_point = c.x().zero_point, farthest = zero_point < 0 ? 127 - zero_point : 128 + zero_point;
  const int64_t most = (bias < 0 ? -bias : bias) + magnitudes * farthest;
  return c.range("table (largest sum)", most, 0, kInt8Limit >> (shift > 0 ? shift : 0));
}

Status check(const OpCheck& c) {
  EDGECL_RETURN_IF_FAILED(check_window(c));
  const uint32_t channels_in = c.x().channels, channels_out = c.y().channels;
  if (c.op.groups != 1 && (static_cast<uint32_t>(c.op.groups) != channels_in || channels_in != channels_out)) {
    return corrupt("OPS", c.index, "groups", "expected 1, or as many as channels in and out, found %d",
                   static_cast<int>(c.op.groups));
  }
  EDGECL_RETURN_IF_FAILED(c.output_shape(channels_out, static_cast<uint64_t>(window_positions(window_height(c))),
                                         static_cast<uint64_t>(window_positions(window_width(c)))));
  EDGECL_RETURN_IF_FAILED(check_int8_clamp(c));
  const WeightPlaces places(c);
  const Int8Dims dims = places.depthwise
                            ? Int8Dims{places.k, places.channels, 0, 0}
                            : Int8Dims{places.channels / kInt8Channels, places.k_groups, kInt8Channels, kInt8Group};
  EDGECL_RETURN_IF_FAILED(check_int8_param(c, 0, format::kElementI8, dims));
  EDGECL_RETURN_IF_FAILED(check_int8_param(c, 1, format::kElementI32, {kInt8Rows, places.channels, 0, 0}));
  for (uint64_t o = 0; o < places.channels; o++) EDGECL_RETURN_IF_FAILED(check_channel(c, places, o));
  return Status();
}

void forward(const Pass& pass, uint32_t index, const KernelVisitor& visitor) {
  const format::OpRecord& op = pass.op(index);
  const Int8ConvArgs args = {pass.int8_tensor(op.inputs[0]),
                             pass.int8_tensor(op.output),
                             pass.integers<int8_t>(op.params[0]),
                             pass.integers<int32_t>(op.params[1]),
                             op_conv_shape(op),
                             op.i[0],
                             op.i[1]};
  if (is_depthwise(op)) {
    emit<call::int8_depthwise>(visitor, args);
  } else {
    emit<call::int8_conv>(visitor, args);
  }
}

uint64_t macs(const Plan& plan, const format::OpRecord& op, bool) {
  const format::TensorRecord &x = plan.tensors[op.inputs[0]], &y = plan.tensors[op.output];
  const uint64_t per_output = static_cast<uint64_t>(op.kernel_h * op.kernel_w) * (is_depthwise(op) ? 1 : x.channels);
  return per_output * tensor_row_floats(y);
}

const char* shown_kind(const Plan&, const format::OpRecord& op) {
  return is_depthwise(op) ? "int8_depthwise" : "int8_conv";
}

constexpr OpRule rule() {
  OpRule rule;
  rule.max_params = 2;
  rule.takes = rule.gives = format::kElementI8;
  rule.check = check;
  rule.forward = forward;
  rule.macs = macs;
  rule.shown_kind = shown_kind;
  return rule;
}

}  // namespace

const OpRule ops::int8_conv = rule();

}  // namespace edgecl
