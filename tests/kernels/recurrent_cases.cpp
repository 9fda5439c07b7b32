// Cases of recurrent layers: every cell, both directions, parts of the gradients, rows that fill no vector.
// Never here: scratch sizes over many shapes (plan_cases.cpp).
#include "tests/kernels/shapes.h"

namespace edgecl::test {
namespace {

struct Problem {
  int batch, inputs, hidden, steps;
  RecurrentShape shape;
  bool bias;

  int columns() const { return shape.gates() * hidden; }
  int64_t kept() const { return static_cast<int64_t>(batch) * steps * shape.kept() * hidden; }
  std::string name() const {
    return text("batch %d, %d -> %d, %d steps, cell %d%s%s", batch, inputs, hidden, steps, static_cast<int>(shape.cell),
                shape.reverse ? ", reverse" : "", bias ? "" : ", no bias");
  }
};

float* weights(Case& c, int64_t n) {
  return c.floats(n, -0.4f, 0.4f);
}

void forward(Tests& tests, Rng& rng, const Problem& p) {
  Case c(rng);
  RecurrentForwardArgs args = {};
  args.x = c.tensor(p.batch, p.inputs, 1, p.steps);
  args.y = c.output_shape(p.batch, p.hidden, 1, p.steps);
  args.weight = weights(c, static_cast<int64_t>(p.inputs) * p.columns());
  args.weight_r = weights(c, static_cast<int64_t>(p.hidden) * p.columns());
  if (p.bias) args.bias = weights(c, p.columns()), args.bias_r = weights(c, p.columns());
  args.shape = p.shape;
  c.output(args.y);
  if (rng.chance(0.6)) c.output(&args.kept, p.kept());
  CHECK_KERNEL(tests, c, recurrent_forward, args, p.name());
}

void backward(Tests& tests, Rng& rng, const Problem& p) {
  Case steps(rng), data(rng), weight(rng);
  RecurrentStepsBackwardArgs back = {};
  back.y = steps.tensor(p.batch, p.hidden, 1, p.steps);
  back.dy = steps.tensor(p.batch, p.hidden, 1, p.steps);
  back.weight_r = weights(steps, static_cast<int64_t>(p.hidden) * p.columns());
  back.shape = p.shape;
  steps.output(&back.kept, p.kept());
  CHECK_KERNEL(tests, steps, recurrent_steps_backward, back, p.name());

  RecurrentDataBackwardArgs of_x = {};
  of_x.y = data.tensor(p.batch, p.hidden, 1, p.steps);
  of_x.dx = data.output_shape(p.batch, p.inputs, 1, p.steps);
  of_x.weight = weights(data, static_cast<int64_t>(p.inputs) * p.columns());
  of_x.shape = p.shape;
  of_x.gradients = data.floats(p.kept());
  of_x.accumulate = rng.chance(0.3);
  data.output(of_x.dx);
  CHECK_KERNEL(tests, data, recurrent_data_backward, of_x, p.name());

  RecurrentWeightBackwardArgs of_w = {};
  of_w.x = weight.tensor(p.batch, p.inputs, 1, p.steps);
  of_w.y = weight.tensor(p.batch, p.hidden, 1, p.steps);
  of_w.shape = p.shape;
  of_w.gradients = weight.floats(p.kept());
  if (rng.chance(0.8)) weight.output(&of_w.dweight, static_cast<int64_t>(p.inputs) * p.columns());
  if (rng.chance(0.8)) weight.output(&of_w.dweight_r, static_cast<int64_t>(p.hidden) * p.columns());
  if (rng.chance(0.8)) weight.output(&of_w.dbias, p.columns());
  if (rng.chance(0.8)) weight.output(&of_w.dbias_r, p.columns());
  CHECK_KERNEL(tests, weight, recurrent_weight_backward, of_w, p.name());
}

Problem random_problem(Rng& rng) {
  Problem p = {};
  p.batch = rng.chance(0.1) ? rng.pick({33, 48, 70}) : random_batch(rng);
  p.inputs = rng.pick({1, 2, 3, 6, 9, 16, 17, 24});
  p.hidden = rng.pick({1, 2, 3, 5, 8, 15, 16, 17, 21, 32, 40});
  p.steps = rng.pick({1, 1, 2, 3, 5, 8, 13, 32, 37});
  p.shape = {static_cast<RecurrentCell>(rng.range(0, kRecurrentCells - 1)), rng.chance(0.4)};
  p.bias = rng.chance(0.8);
  while (static_cast<int64_t>(p.batch) * p.steps * p.hidden > 4000)
    p.steps = (p.steps + 1) / 2, p.hidden = (p.hidden + 1) / 2;
  return p;
}

}  // namespace

void recurrent_cases(Tests& tests) {
  Rng rng(0x5e9);
  for (int cell = 0; cell < kRecurrentCells; cell++) {
    const Problem p = {1, 8, 64, 33, {static_cast<RecurrentCell>(cell), cell % 2 == 1}, true};
    forward(tests, rng, p);
    forward(tests, rng, {1, 5, 131, 9, p.shape, true});  // beyond the first cache
  }
  for (int i = 0; i < tests.repeats(120, 1500); i++) {
    const Problem p = random_problem(rng);
    forward(tests, rng, p);
    backward(tests, rng, p);
  }
}

}  // namespace edgecl::test
