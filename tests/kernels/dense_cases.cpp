// Cases of the dense convolution and linear kernels.
// Never here: sparse kernels.
#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

void conv(Tests& tests, Rng& rng, const ConvProblem& p) {
  const int64_t weights = static_cast<int64_t>(p.out_channels) * (p.in_channels / p.shape.groups) * p.taps();
  {
    Case c(rng);
    ConvForwardArgs args = {c.tensor(p.batch, p.in_channels, p.height, p.width),
                            c.output_shape(p.batch, p.out_channels, p.out_height, p.out_width),
                            c.floats(weights),
                            rng.chance(0.5) ? c.floats(p.out_channels) : nullptr,
                            p.shape,
                            random_fused_activation(rng)};
    c.output(args.y);
    CHECK_KERNEL(tests, c, conv_forward, args, p.name());
  }
  {
    Case c(rng);
    ConvBackwardDataArgs args = {c.tensor(p.batch, p.out_channels, p.out_height, p.out_width),
                                 c.output_shape(p.batch, p.in_channels, p.height, p.width), c.floats(weights), p.shape,
                                 rng.chance(0.5)};
    c.output(args.dx);
    CHECK_KERNEL(tests, c, conv_backward_data, args, p.name());
  }
  {
    Case c(rng);
    ConvBackwardWeightArgs args = {c.tensor(p.batch, p.in_channels, p.height, p.width),
                                   c.tensor(p.batch, p.out_channels, p.out_height, p.out_width), nullptr, nullptr,
                                   p.shape};
    c.output(&args.dweight, weights);
    if (rng.chance(0.5)) c.output(&args.dbias, p.out_channels);
    CHECK_KERNEL(tests, c, conv_backward_weight, args, p.name());
  }
}

void linear(Tests& tests, Rng& rng, int batch, int in, int out) {
  const std::string name = text("batch %d, %d->%d", batch, in, out);
  const int64_t weights = static_cast<int64_t>(in) * out;
  {
    Case c(rng);
    LinearForwardArgs args = {c.tensor(batch, in, 1, 1), c.output_shape(batch, out, 1, 1), c.floats(weights),
                              rng.chance(0.5) ? c.floats(out) : nullptr, random_fused_activation(rng)};
    c.output(args.y);
    CHECK_KERNEL(tests, c, linear_forward, args, name);
  }
  {
    Case c(rng);
    LinearBackwardDataArgs args = {c.tensor(batch, out, 1, 1), c.output_shape(batch, in, 1, 1), c.floats(weights),
                                   rng.chance(0.5)};
    c.output(args.dx);
    CHECK_KERNEL(tests, c, linear_backward_data, args, name);
  }
  {
    Case c(rng);
    LinearBackwardWeightArgs args = {c.tensor(batch, in, 1, 1), c.tensor(batch, out, 1, 1), nullptr, nullptr};
    c.output(&args.dweight, weights);
    if (rng.chance(0.5)) c.output(&args.dbias, out);
    CHECK_KERNEL(tests, c, linear_backward_weight, args, name);
  }
}

}  // namespace

void dense_cases(Tests& tests) {
  Rng rng(0xd0);
  for (const ConvProblem& p : known_convs(true)) conv(tests, rng, p);
  // Weight gradients over several reduction blocks: more than 128 chunks of 16 floats.
  conv(tests, rng, conv_problem(16, 3, 5, 13, 3, 1, 1));
  conv(tests, rng, conv_problem(1, 2, 3, 47, 3, 1, 1));
  // So many batch rows that a strip of one column is still too large for the cache: its size must be taken as it is.
  conv(tests, rng, conv_problem(201, 24, 2, 3, 7, 1, 3));
  // So many rows that plans are those of a class of batches.
  for (int batch : {161, 190, 201, 257, 300, 176, 208, 272})
    for (int i = 0; i < tests.repeats(3, 12); i++) {
      ConvProblem p = random_conv(rng, 4000, true);
      p.batch = batch;
      conv(tests, rng, p);
      linear(tests, rng, batch, rng.pick({1, 20, 64}), rng.pick({2, 10, 33}));
    }
  // One batch row, whose depthwise and 1x1 layers have forms of their own: blocks of channels, strips, remainders.
  for (int stride : {1, 2, 3})
    for (int kernel : {3, 5, 7})
      for (int size : {5, 14, 33})
        conv(tests, rng,
             conv_problem(1, 19, 19, size, kernel, stride, kernel / 2, 19, size == 14 && stride == 1 ? 2 : 1));
  for (int stride : {1, 2}) conv(tests, rng, conv_problem(1, 17, 17, 70, 5, stride, 2, 17));
  for (int rows : {16, 17, 20, 21, 29, 41})
    for (int size : {1, 3, 7, 13}) conv(tests, rng, conv_problem(1, rng.pick({1, 9, 40}), rows, size, 1, 1, 0));
  // Maps that end one position behind whole vectors of 8 or 16.
  for (int rows : {16, 24, 33, 50})
    for (int size : {5, 7, 15}) conv(tests, rng, conv_problem(1, rng.pick({16, 48}), rows, size, 1, 1, 0));
  for (int i = 0; i < tests.repeats(200, 2000); i++)
    conv(tests, rng, random_conv(rng, tests.repeats(150000, 400000), true));
  for (int batch : {1, 3, 10, 16, 17, 32, 48})
    for (int i = 0; i < tests.repeats(10, 60); i++)
      linear(tests, rng, batch, rng.pick({1, 3, 16, 20, 64, 160, 301}), rng.pick({1, 2, 5, 10, 16, 33, 100}));
}

}  // namespace edgecl::test
