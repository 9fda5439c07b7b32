// Random int8 tensors and layers for the kernel tests and the bench.
// Never here: cases.
#ifndef EDGECL_TESTS_KERNELS_INT8_LAYERS_H_
#define EDGECL_TESTS_KERNELS_INT8_LAYERS_H_

#include "kernels/plan/vector_shape.h"
#include "tests/kernels/shapes.h"

namespace edgecl::test {

// Uniform, or with `extreme` the largest magnitudes alone.
inline std::vector<int8_t> random_bytes(Rng& rng, int64_t n, int lo, bool extreme) {
  std::vector<int8_t> bytes(static_cast<size_t>(n));
  for (int8_t& b : bytes) b = static_cast<int8_t>(extreme ? rng.pick({lo, lo, 127}) : rng.range(lo, 127));
  return bytes;
}

inline Int8Tensor int8_tensor(Case& c, int rows, int channels, int height, int width, bool extreme = false) {
  Int8Tensor t = {nullptr, rows, height, width, channels, 0};
  t.zero_point = c.rng().pick({-128, -128, 0, 3, 127, c.rng().range(-128, 127)});
  t.data = c.copy(random_bytes(c.rng(), t.size(), -128, extreme), 4 * kReadSlack);
  return t;
}

// Weights in their layout, places without a channel or a value of K being 0, and the table.
inline Int8ConvArgs int8_layer(Case& c, const ConvProblem& p, bool depthwise, bool extreme = false) {
  Rng& rng = c.rng();
  Int8ConvArgs a = {};
  a.x = int8_tensor(c, p.batch, p.in_channels, p.height, p.width, extreme);
  a.y = {nullptr, p.batch, p.out_height, p.out_width, p.out_channels, rng.pick({-128, -128, 0, 5, -77})};
  a.shape = p.shape;
  const int64_t o_all = plan::round_up(p.out_channels, kInt8Channels);
  const int64_t k = depthwise ? p.taps() : static_cast<int64_t>(p.taps()) * p.in_channels;
  const int64_t k_all = depthwise ? k : plan::round_up(k, kInt8Group);
  std::vector<int8_t> weight = random_bytes(rng, o_all * k_all, -127, extreme);
  std::vector<int32_t> table(static_cast<size_t>(kInt8Rows * o_all), 0);
  const auto at = [&](Int8Row row, int64_t o) -> int32_t& { return table[static_cast<size_t>(row * o_all + o)]; };
  const bool plain = rng.chance(0.5);  // bounds and shifts as most layers have them
  for (int64_t o = 0; o < o_all; o++) {
    for (int64_t i = 0; i < k_all; i++) {
      int8_t& w = weight[static_cast<size_t>(
          depthwise
              ? i * o_all + o
              : ((o / kInt8Channels * (k_all / kInt8Group) + i / kInt8Group) * kInt8Channels + o % kInt8Channels) *
                        kInt8Group +
                    i % kInt8Group)];
      if (o >= p.out_channels || i >= k) w = 0;
      at(kInt8Sum, o) += w;
    }
    if (o >= p.out_channels) continue;
    at(kInt8Bias, o) = rng.range(-20000, 20000);
    at(kInt8Multiplier, o) = rng.chance(0.1) ? INT32_MAX : rng.range(1 << 30, INT32_MAX - 1);
    at(kInt8Shift, o) = plain ? rng.range(-22, 1) : rng.chance(0.8) ? rng.range(-12, -4) : rng.pick({-31, -1, 0, 1, 3});
  }
  a.weight = c.copy(weight, 4 * kReadSlack);
  a.table = c.copy(table, 4 * kReadSlack);
  a.lo = plain ? -128 : rng.pick({-128, -128, a.y.zero_point});
  a.hi = plain ? 127 : rng.pick({127, 127, a.y.zero_point + 50});
  return a;
}

}  // namespace edgecl::test

#endif  // EDGECL_TESTS_KERNELS_INT8_LAYERS_H_
