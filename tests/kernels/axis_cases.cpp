// Cases of what runs along one axis of a map: reductions over the height, softmax over the width.
// Never here: pools and normalisation.
#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

void reduce(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), channels = rng.range(1, 9), height = rng.range(1, 12),
            width = rng.pick({1, 1, 2, 3, 7, 16, 33});
  const Reduction kind = static_cast<Reduction>(rng.range(0, 2));
  const std::string name =
      text("batch %d, %d channels, %dx%d, kind %d", batch, channels, height, width, static_cast<int>(kind));
  Case forward(rng), c(rng);
  ReduceForwardArgs args = {forward.tensor(batch, channels, height, width),
                            forward.output_shape(batch, channels, 1, width), kind};
  forward.output(args.y);
  CHECK_KERNEL(tests, forward, reduce_forward, args, name);
  ReduceBackwardArgs back = {};
  back.x = c.tensor(batch, channels, height, width);
  back.y = c.tensor(batch, channels, 1, width);
  // Maxima of few values, which are found more than once.
  back.x.data = c.from_few_values(back.x.size());
  back.y.data = c.from_few_values(back.y.size());
  back.dy = c.tensor(batch, channels, 1, width);
  back.dx = c.output_shape(batch, channels, height, width);
  back.kind = kind;
  back.accumulate = rng.chance(0.3);
  c.output(back.dx);
  CHECK_KERNEL(tests, c, reduce_backward, back, name);
}

void softmax(Tests& tests, Rng& rng) {
  const int batch = random_batch(rng), channels = rng.range(1, 4), height = rng.range(1, 4),
            width = rng.pick({1, 2, 3, 7, 15, 16, 17, 33, 50});
  const bool logarithm = rng.chance(0.5);
  const std::string name =
      text("batch %d, %d channels, %dx%d%s", batch, channels, height, width, logarithm ? ", logarithm" : "");
  Case forward(rng), c(rng);
  SoftmaxForwardArgs args = {forward.tensor(batch, channels, height, width),
                             forward.output_shape(batch, channels, height, width), logarithm};
  if (rng.chance(0.3)) args.x.data = forward.floats(args.x.size(), -120.0f, 120.0f);
  forward.output(args.y);
  CHECK_KERNEL(tests, forward, softmax_forward, args, name);
  SoftmaxBackwardArgs back = {c.tensor(batch, channels, height, width), c.tensor(batch, channels, height, width),
                              c.output_shape(batch, channels, height, width), logarithm, rng.chance(0.3)};
  c.output(back.dx);
  CHECK_KERNEL(tests, c, softmax_backward, back, name);
}

}  // namespace

void axis_cases(Tests& tests) {
  Rng rng(0xa8);
  for (int i = 0; i < tests.repeats(200, 2000); i++) reduce(tests, rng);
  for (int i = 0; i < tests.repeats(150, 1500); i++) softmax(tests, rng);
}

}  // namespace edgecl::test
