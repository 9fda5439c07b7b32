// Cases of the int8 kernels.
// Never here: comparisons with NumPy and other runtimes (test_int8.py).
#include "tests/kernels/int8_layers.h"

namespace edgecl::test {
namespace {

void output(Case& c, Int8Tensor& y) {
  c.output_values(&y.data, std::vector<int8_t>(static_cast<size_t>(y.size()), 77));
}

void conv(Tests& tests, Rng& rng, const ConvProblem& p) {
  Case c(rng);
  Int8ConvArgs args = int8_layer(c, p, false, rng.chance(0.2));
  output(c, args.y);
  CHECK_KERNEL(tests, c, int8_conv, args, p.name());
}

void depthwise(Tests& tests, Rng& rng, ConvProblem p) {
  p.out_channels = p.shape.groups = p.in_channels;
  Case c(rng);
  Int8ConvArgs args = int8_layer(c, p, true, rng.chance(0.2));
  output(c, args.y);
  CHECK_KERNEL(tests, c, int8_depthwise, args, p.name());
}

void add(Tests& tests, Rng& rng) {
  Case c(rng);
  const int rows = random_batch(rng), channels = rng.range(1, 70), height = rng.range(1, 6), width = rng.range(1, 6);
  Int8AddArgs args = {int8_tensor(c, rows, channels, height, width),
                      int8_tensor(c, rows, channels, height, width),
                      int8_tensor(c, rows, channels, height, width),
                      {},
                      {},
                      rng.pick({-128, -20}),
                      rng.pick({127, 90})};
  for (int i = 0; i < 3; i++) {
    args.multiplier[i] = rng.range(1 << 30, INT32_MAX);
    args.shift[i] = i < 2 ? rng.pick({0, -1, -1, -7, -31}) : rng.pick({-19, -18, -22, -1, 0});
  }
  output(c, args.y);
  CHECK_KERNEL(tests, c, int8_add, args, text("%d rows of %d x %d x %d", rows, channels, height, width));
}

void pool(Tests& tests, Rng& rng) {
  Case c(rng);
  const int rows = random_batch(rng), channels = rng.range(1, 70), height = rng.range(1, 9), width = rng.range(1, 9);
  Int8MeanArgs args = {int8_tensor(c, rows, channels, height, width, rng.chance(0.2)),
                       int8_tensor(c, rows, channels, 1, 1),
                       rng.range(1 << 30, INT32_MAX),
                       rng.range(-9, 1),
                       rng.pick({-128, 0, 300, -(1 << 24), 1 << 24}),
                       rng.pick({0, 128 * 81, -5000, 77})};
  output(c, args.y);
  CHECK_KERNEL(tests, c, int8_mean, args, text("%d rows of %d x %d x %d", rows, channels, height, width));
}

void window_pool(Tests& tests, Rng& rng, ConvProblem p) {
  p.out_channels = p.in_channels;
  if (rng.chance(0.3)) {  // ceil mode: one more window that begins inside the input
    p.out_height += p.out_height * p.shape.stride_h - p.shape.pad_top < p.height;
    p.out_width += p.out_width * p.shape.stride_w - p.shape.pad_left < p.width;
  }
  Case c(rng);
  Int8PoolArgs args = {int8_tensor(c, p.batch, p.in_channels, p.height, p.width, rng.chance(0.3)),
                       int8_tensor(c, p.batch, p.in_channels, p.out_height, p.out_width), p.shape,
                       rng.pick({-128, -128, -20}), rng.pick({127, 127, 90})};
  output(c, args.y);
  if (rng.chance(0.5))
    CHECK_KERNEL(tests, c, int8_max_pool, args, p.name());
  else
    CHECK_KERNEL(tests, c, int8_average_pool, args, p.name());
}

// Halves are rounded away from zero, cells of the padding do not count, and a maximum is cut off.
void pools_known(Tests& tests) {
  std::vector<int8_t> x = {1, 2, -1, -2, 127, 127, -128, -127}, y(4);
  x.resize(256);
  const ConvShape shape = {1, 2, 1, 2, 1, 1, 0, 0, 0, 0, 1};
  const Int8PoolArgs args = {{x.data(), 1, 1, 8, 1, 0}, {y.data(), 1, 1, 4, 1, 0}, shape, -128, 120};
  const KernelTable* table = kernel_table("reference");
  table->int8_average_pool(args, 0, 1, nullptr);
  tests.expect(y == std::vector<int8_t>({2, -2, 120, -128}), "the mean of 1 and 2 is 2, of -1 and -2 it is -2");
  table->int8_max_pool(args, 0, 1, nullptr);
  tests.expect(y == std::vector<int8_t>({2, -1, 120, -127}), "the larger of two");
}

void borders(Tests& tests, Rng& rng) {
  Case c(rng);
  const int rows = random_batch(rng), channels = rng.range(1, 40), height = rng.range(1, 6), width = rng.range(1, 6);
  const std::string what = text("%d rows of %d x %d x %d", rows, channels, height, width);
  Tensor x = c.tensor(rows, channels, height, width);
  const float scale = rng.pick({0.02f, 0.25f, 1.0f, 3e-30f});
  for (int64_t i = 0; i < x.size(); i++) {
    if (rng.chance(0.3)) x.data[i] = static_cast<float>(rng.range(-300, 300)) / 2.0f * scale;  // halves, which tie
    if (rng.chance(0.05)) x.data[i] = rng.pick({1e30f, -1e30f, __builtin_inff(), __builtin_nanf(""), 0.49999997f});
  }
  Int8QuantizeArgs in = {x, int8_tensor(c, rows, channels, height, width), scale};
  output(c, in.y);
  CHECK_KERNEL(tests, c, int8_quantize, in, what);

  Case d(rng);
  Int8DequantizeArgs out = {int8_tensor(d, rows, channels, height, width),
                            c.output_shape(rows, channels, height, width), scale};
  d.output(out.y);
  CHECK_KERNEL(tests, d, int8_dequantize, out, what);
}

// The rounding rule, number by number: ties upwards in the product, away from zero in the shift.
void requantize_known(Tests& tests) {
  struct Known {
    int32_t acc, multiplier, shift, want;
  };
  for (const Known& k : {Known{100, 1 << 30, 0, 50},
                         {101, 1 << 30, 0, 51},
                         {-101, 1 << 30, 0, -50},
                         {3, INT32_MAX, -1, 2},
                         {-3, INT32_MAX, -1, -2},
                         {5, INT32_MAX, -1, 3},
                         {-5, INT32_MAX, -1, -3},
                         {6, INT32_MAX, -2, 2},
                         {-6, INT32_MAX, -2, -2},
                         {-5, INT32_MAX, -2, -1},
                         {7, 1 << 30, 3, 28},
                         {-kInt8Limit, INT32_MAX, 0, -kInt8Limit},
                         {12345, 0, -4, 0},
                         {kInt8Limit, INT32_MAX, -30, 1},
                         {kInt8Limit, INT32_MAX, -31, 0}}) {
    const int32_t got = requantize(k.acc, k.multiplier, k.shift);
    tests.expect(got == k.want, text("requantize(%d, %d, %d) is %d, expected %d", static_cast<int>(k.acc),
                                     static_cast<int>(k.multiplier), static_cast<int>(k.shift), static_cast<int>(got),
                                     static_cast<int>(k.want)));
  }
}

}  // namespace

void int8_cases(Tests& tests) {
  requantize_known(tests);
  pools_known(tests);
  Rng rng(0x18);
  for (const ConvProblem& p : known_convs(false)) conv(tests, rng, p);
  for (const ConvProblem& p :
       {conv_problem(1, 24, 24, 9, 3, 1, 1), conv_problem(3, 20, 1, 8, 5, 2, 2), conv_problem(1, 40, 1, 7, 3, 2, 1),
        conv_problem(2, 16, 1, 12, 3, 1, 1), conv_problem(1, 64, 1, 40, 3, 1, 1), conv_problem(2, 48, 1, 45, 5, 2, 2)})
    depthwise(tests, rng, p);
  // Windows that are read in place, in several strips; pictures of three channels.
  for (const ConvProblem& p :
       {conv_problem(1, 16, 8, 64, 3, 1, 1), conv_problem(2, 3, 40, 33, 3, 2, 1), conv_problem(1, 3, 16, 19, 7, 2, 3),
        conv_problem(1, 3, 8, 96, 3, 2, 1), conv_problem(3, 1, 20, 21, 4, 1, 2), conv_problem(2, 8, 65, 9, 3, 1, 1)})
    conv(tests, rng, p);
  conv(tests, rng, conv_problem(1, 300, 70, 1, 1, 1, 0));  // linear, few positions
  conv(tests, rng, conv_problem(13, 1000, 33, 1, 1, 1, 0));
  for (int i = 0; i < tests.repeats(60, 1500); i++) {
    conv(tests, rng, random_conv(rng, 200000, false));
    depthwise(tests, rng, random_conv(rng, 200000, false));
    add(tests, rng);
    pool(tests, rng);
    for (int k = 0; k < 3; k++) window_pool(tests, rng, random_conv(rng, 60000, false));
    borders(tests, rng);
  }
}

}  // namespace edgecl::test
