// Cases of max, average and global pooling.
// Never here: other kernels.
#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

void windows(Tests& tests, Rng& rng, ConvProblem p) {
  p.out_channels = p.in_channels;
  p.shape.groups = 1;
  const bool include_pad = rng.chance(0.5), hang_over = rng.chance(0.3);
  if (hang_over) {  // ceil mode: one more window that begins inside the input
    p.out_height += p.out_height * p.shape.stride_h - p.shape.pad_top < p.height;
    p.out_width += p.out_width * p.shape.stride_w - p.shape.pad_left < p.width;
  }
  const std::string name = p.name() + text(", output %dx%d, include_pad %d", p.out_height, p.out_width, include_pad);
  const bool ties = rng.chance(0.5);
  for (bool max : {true, false}) {
    Case forward(rng);
    PoolArgs args = {forward.tensor(p.batch, p.in_channels, p.height, p.width),
                     forward.output_shape(p.batch, p.in_channels, p.out_height, p.out_width), p.shape, include_pad};
    if (ties) args.x.data = forward.from_few_values(args.x.size());
    forward.output(args.y);
    if (max)
      CHECK_KERNEL(tests, forward, max_pool_forward, args, name);
    else
      CHECK_KERNEL(tests, forward, average_pool_forward, args, name);

    Case c(rng);
    PoolBackwardArgs back = {};
    back.x = args.x;
    back.dy = c.tensor(p.batch, p.in_channels, p.out_height, p.out_width);
    back.dx = c.output_shape(p.batch, p.in_channels, p.height, p.width);
    back.shape = p.shape;
    back.count_include_pad = include_pad;
    back.accumulate = rng.chance(0.4);
    back.y = back.dy;
    back.y.data = c.floats(back.y.size());
    args.y.data = back.y.data;  // the maxima that belong to x
    std::vector<double> scratch(kernel_table("reference")->max_pool_forward_scratch_bytes(args) / 8 + 8);
    if (max) kernel_table("reference")->max_pool_forward(args, 0, 1, scratch.data());
    c.output(back.dx);
    if (max)
      CHECK_KERNEL(tests, c, max_pool_backward, back, name);
    else
      CHECK_KERNEL(tests, c, average_pool_backward, back, name);
  }
}

void global(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), channels = rng.range(1, 20), height = rng.range(1, 7), width = rng.range(1, 7);
  const std::string name = text("batch %d, %d channels, %dx%d", batch, channels, height, width);
  {
    Case c(rng);
    GlobalPoolArgs args = {c.tensor(batch, channels, height, width), c.output_shape(batch, channels, 1, 1)};
    c.output(args.y);
    CHECK_KERNEL(tests, c, global_average_pool_forward, args, name);
  }
  {
    Case c(rng);
    GlobalPoolBackwardArgs args = {c.tensor(batch, channels, 1, 1), c.output_shape(batch, channels, height, width),
                                   rng.chance(0.5)};
    c.output(args.dx);
    CHECK_KERNEL(tests, c, global_average_pool_backward, args, name);
  }
}

}  // namespace

void pool_cases(Tests& tests) {
  Rng rng(0xb0);
  windows(tests, rng, conv_problem(1, 3, 3, 16, 3, 2, 1));
  windows(tests, rng, conv_problem(16, 3, 3, 9, 3, 2, 1));
  windows(tests, rng, conv_problem(10, 2, 2, 8, 2, 2, 0));
  for (int i = 0; i < tests.repeats(250, 2500); i++) windows(tests, rng, random_conv(rng, 60000, false));
  for (int i = 0; i < tests.repeats(100, 600); i++) global(tests, rng);
}

}  // namespace edgecl::test
