// Cases of activations, binary operations, accumulation, concatenation and the optimiser's update.
// Never here: kernels that reduce over positions.
#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

int64_t random_length(Rng& rng) {
  return rng.pick({0, 1, 3, 15, 16, 17, 33, 64, 100, 1000, 4097});
}

void activations(Tests& tests, Rng& rng) {
  const ActivationSpec specs[] = {{Activation::kNone, 0, 0},
                                  {Activation::kRelu, 0, 0},
                                  {Activation::kClip, 0, 6},
                                  {Activation::kClip, -0.5f, 0.5f},
                                  {Activation::kHardSwish, 0, 0},
                                  {Activation::kSigmoid, 0, 0},
                                  {Activation::kHardSigmoid, 0.2f, 0.5f},
                                  {Activation::kHardSigmoid, 1.0f / 6.0f, 0.5f},
                                  {Activation::kTanh, 0, 0},
                                  {Activation::kGelu, 0, 0},
                                  {Activation::kGeluTanh, 0, 0},
                                  {Activation::kElu, 0.7f, 1},
                                  {Activation::kElu, 1.6732632f, 1.050701f},
                                  {Activation::kCelu, 0.5f, 0},
                                  {Activation::kLeakyRelu, 0.01f, 0},
                                  {Activation::kSoftplus, 0, 0},
                                  {Activation::kMish, 0, 0},
                                  {Activation::kSilu, 1, 0},
                                  {Activation::kSilu, 1.702f, 0},
                                  {Activation::kSoftsign, 0, 0},
                                  {Activation::kExp, 0, 0},
                                  {Activation::kLog, 0, 0},
                                  {Activation::kSqrt, 0, 0},
                                  {Activation::kReciprocal, 0, 0},
                                  {Activation::kAbs, 0, 0},
                                  {Activation::kNegate, 0, 0},
                                  {Activation::kSquare, 0, 0},
                                  {Activation::kErf, 0, 0},
                                  {Activation::kReciprocalSqrt, 0, 0},
                                  {Activation::kCube, 0, 0}};
  bool seen[static_cast<int>(kLastActivation) + 1] = {};
  for (const ActivationSpec& spec : specs) seen[static_cast<int>(spec.kind)] = true;
  for (size_t i = 0; i < sizeof seen; i++) tests.expect(seen[i], text("activation %zu has a case", i));
  for (const ActivationSpec& spec : specs) {
    const int64_t n = random_length(rng);
    const std::string name = text("activation %d, %lld floats", static_cast<int>(spec.kind), static_cast<long long>(n));
    const float range = rng.pick({1.0f, 8.0f, 120.0f});  // 120: beyond both ends of exp
    const bool positive = spec.kind == Activation::kLog || spec.kind == Activation::kSqrt ||
                          spec.kind == Activation::kReciprocal || spec.kind == Activation::kReciprocalSqrt;
    const float low = positive ? 0.01f : -range;
    {
      Case c(rng);
      ActivationForwardArgs args = {c.floats(n, low, range), nullptr, n, spec};
      c.output(&args.y, n);
      CHECK_KERNEL(tests, c, activation_forward, args, name);
    }
    {
      Case c(rng);
      ActivationForwardArgs args = {nullptr, nullptr, n, spec};
      const int out = positive ? -1 : c.output(&args.y, n);
      if (positive) continue;  // what an output holds before is of both signs
      c.also(out, const_cast<float**>(&args.x));
      CHECK_KERNEL(tests, c, activation_forward, args, name + ", in place");
    }
    for (bool in_place : {false, true}) {
      Case c(rng);
      ActivationBackwardArgs args = {};
      const bool reads_x = !activation_gradient_reads_output(spec.kind);
      args.x = reads_x ? c.floats(n, low, range) : nullptr;
      args.y = reads_x ? nullptr : positive ? c.floats(n, low, range) : c.floats(n);
      args.dy = in_place ? nullptr : c.floats(n);
      args.n = n;
      args.accumulate = !in_place && rng.chance(0.5);
      args.activation = spec;
      const int out = c.output(&args.dx, n);
      if (in_place) c.also(out, const_cast<float**>(&args.dy));
      CHECK_KERNEL(tests, c, activation_backward, args, name + (in_place ? ", in place" : ""));
    }
  }
}

struct Broadcast {
  int64_t stride[5], n;
};

// Keeps each axis of b with probability 1/2, or one of the usual forms; b is dense over the kept axes.
Broadcast random_broadcast(Rng& rng, const Tensor& t) {
  const int64_t size[5] = {t.groups, t.channels, t.height, t.width, t.lanes};
  bool keep[5];
  switch (rng.range(0, 5)) {
    case 0:  // the same shape
      for (bool& k : keep) k = true;
      break;
    case 1:  // per channel
      for (int i = 0; i < 5; i++) keep[i] = i == 1;
      break;
    case 2:  // per row and channel (squeeze-and-excitation)
      for (int i = 0; i < 5; i++) keep[i] = i == 0 || i == 1 || i == 4;
      break;
    case 3:  // per channel and position
      for (int i = 0; i < 5; i++) keep[i] = i >= 1 && i <= 3;
      break;
    default:
      for (bool& k : keep) k = rng.chance(0.5);
  }
  Broadcast b = {{}, 1};
  for (int i = 4; i >= 0; i--) {
    b.stride[i] = keep[i] ? b.n : 0;
    if (keep[i]) b.n *= size[i];
  }
  return b;
}

void binary(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), channels = rng.range(1, 19), height = rng.range(1, 5), width = rng.range(1, 6);
  const BinaryOp op = rng.chance(0.5) ? BinaryOp::kAdd : BinaryOp::kMul;
  Case forward(rng);
  const Tensor a = forward.tensor(batch, channels, height, width);
  const Broadcast b = random_broadcast(rng, a);
  const std::string name =
      text("batch %d, %d channels, %dx%d, op %d, strides %d %d %d %d %d", batch, channels, height, width,
           static_cast<int>(op), static_cast<int>(b.stride[0]), static_cast<int>(b.stride[1]),
           static_cast<int>(b.stride[2]), static_cast<int>(b.stride[3]), static_cast<int>(b.stride[4]));
  Tensor empty = a;
  empty.data = nullptr;
  BinaryArgs args = {a,           empty,       forward.floats(b.n), b.stride[0], b.stride[1],
                     b.stride[2], b.stride[3], b.stride[4],         op,          random_fused_activation(rng)};
  forward.output(args.y);
  CHECK_KERNEL(tests, forward, binary_forward, args, name);

  Case c(rng);
  BinaryBackwardArgs back = {};
  back.dy = c.tensor(batch, channels, height, width);
  back.a = op == BinaryOp::kMul ? c.tensor(batch, channels, height, width) : empty;
  back.b = op == BinaryOp::kMul ? c.floats(b.n) : nullptr;
  back.da = empty;
  back.n_b = b.n;
  back.stride_g = b.stride[0];
  back.stride_c = b.stride[1];
  back.stride_h = b.stride[2];
  back.stride_w = b.stride[3];
  back.stride_l = b.stride[4];
  back.op = op;
  back.accumulate_a = rng.chance(0.3);
  back.accumulate_b = rng.chance(0.3);
  if (rng.chance(0.8)) c.output(back.da);
  if (rng.chance(0.8)) c.output(&back.db, b.n);
  CHECK_KERNEL(tests, c, binary_backward, back, name);
}

void concat(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), height = rng.range(1, 4), width = rng.range(1, 5), n = rng.range(1, kMaxInputs);
  int channels = 0;
  Case forward(rng), c(rng);
  ConcatArgs args = {};
  ConcatBackwardArgs back = {};
  args.n_inputs = back.n_inputs = n;
  for (int k = 0; k < n; k++) {
    const int share = rng.range(1, 5);
    channels += share;
    args.inputs[k] = forward.tensor(batch, share, height, width);
    back.dinputs[k] = c.output_shape(batch, share, height, width);
    back.accumulate[k] = rng.chance(0.3);
    if (rng.chance(0.8)) c.output(back.dinputs[k]);
  }
  args.y = forward.output_shape(batch, channels, height, width);
  forward.output(args.y);
  back.dy = c.tensor(batch, channels, height, width);
  const std::string name = text("batch %d, %d inputs, %d channels, %dx%d", batch, n, channels, height, width);
  CHECK_KERNEL(tests, forward, concat_forward, args, name);
  CHECK_KERNEL(tests, c, concat_backward, back, name);
}

void prelu(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), channels = rng.range(1, 9), height = rng.range(1, 5), width = rng.range(1, 6);
  const std::string name = text("batch %d, %d channels, %dx%d", batch, channels, height, width);
  Case forward(rng);
  PreluForwardArgs args = {forward.tensor(batch, channels, height, width), {}, forward.floats(channels)};
  args.y = forward.output_shape(batch, channels, height, width);
  forward.output(args.y);
  CHECK_KERNEL(tests, forward, prelu_forward, args, name);

  Case c(rng);
  PreluBackwardArgs back = {};
  back.x = c.tensor(batch, channels, height, width);
  back.dy = c.tensor(batch, channels, height, width);
  back.dx = c.output_shape(batch, channels, height, width);
  back.slope = c.floats(channels);
  back.accumulate = rng.chance(0.3);
  if (rng.chance(0.8)) c.output(back.dx);
  if (rng.chance(0.8)) c.output(&back.dslope, channels);
  CHECK_KERNEL(tests, c, prelu_backward, back, name);
}

void extremum(Tests& tests, Rng& rng) {
  const int64_t n = random_length(rng);
  const bool maximum = rng.chance(0.5);
  const std::string name = text("%lld floats, %s", static_cast<long long>(n), maximum ? "maximum" : "minimum");
  Case forward(rng), c(rng);
  ExtremumForwardArgs args = {forward.from_few_values(n), forward.from_few_values(n), nullptr, n, maximum};
  forward.output(&args.y, n);
  CHECK_KERNEL(tests, forward, extremum_forward, args, name);
  ExtremumBackwardArgs back = {c.from_few_values(n), c.from_few_values(n), c.floats(n), nullptr, nullptr, n, maximum,
                               rng.chance(0.3),      rng.chance(0.3)};
  if (rng.chance(0.8)) c.output(&back.da, n);
  if (rng.chance(0.8)) c.output(&back.db, n);
  CHECK_KERNEL(tests, c, extremum_backward, back, name);
}

void flat(Tests& tests, Rng& rng) {
  const int64_t n = random_length(rng);
  const std::string name = text("%lld floats", static_cast<long long>(n));
  for (bool accumulate : {false, true}) {
    Case c(rng);
    AccumulateArgs args = {c.floats(n), nullptr, n, accumulate};
    c.output(&args.y, n);
    CHECK_KERNEL(tests, c, accumulate, args, name);
  }
  for (bool momentum : {false, true}) {
    Case c(rng);
    SgdArgs args = {nullptr, nullptr, c.floats(n), n, 0.03f, 0.9f, rng.pick({0.0f, 5e-4f})};
    c.output(&args.weight, n);
    if (momentum) c.output(&args.velocity, n);
    CHECK_KERNEL(tests, c, sgd_update, args, name);
  }
}

}  // namespace

void pointwise_cases(Tests& tests) {
  Rng rng(0xac);
  for (int i = 0; i < tests.repeats(25, 200); i++) activations(tests, rng);
  for (int i = 0; i < tests.repeats(500, 5000); i++) binary(tests, rng);
  for (int i = 0; i < tests.repeats(100, 500); i++) concat(tests, rng);
  for (int i = 0; i < tests.repeats(100, 500); i++) prelu(tests, rng);
  for (int i = 0; i < tests.repeats(50, 300); i++) extremum(tests, rng);
  for (int i = 0; i < tests.repeats(30, 200); i++) flat(tests, rng);
}

}  // namespace edgecl::test
