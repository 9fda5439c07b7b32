// The int8 kernels of the vector extension against the scalar reference, byte for byte, on layers of random shapes: on a
// core that has the extension, under the emulator. Exit status 1 and the shape where a byte differs, or where one outside
// the output was written.
// Never here: the bytes of whole bundles (devices/firmware).
#include <string.h>

#include "kernels/kernels.h"

extern "C" {
#include "devices/firmware/board.h"
}

namespace edgecl {
namespace {

constexpr int32_t kMostX = 6000, kMostWeights = 24000, kMostY = 8000, kMostChannels = 80, kSlack = 256, kLayers = 300;

int8_t x_bytes[kMostX + kSlack], weights[kMostWeights + kSlack], expected[kMostY + 1], found[kMostY + 1];
int32_t table[kInt8Rows * kMostChannels + kSlack / 4];

struct Random {  // Numerical Recipes' generator
  uint32_t state;
  uint32_t next() {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
  }
  int32_t range(int32_t least, int32_t most) {
    return least + static_cast<int32_t>(next() % static_cast<uint32_t>(most - least + 1));
  }
};

int32_t up_to(int32_t n, int32_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

int32_t multiplier_of(Random* random) {
  return (1 << 30) + static_cast<int32_t>(random->next() << 6 >> 2);
}

// A layer of random shape whose tensors fit; false where they do not.
bool make_layer(Random* random, bool depthwise, Int8ConvArgs* a) {
  ConvShape& s = a->shape;
  const bool point = random->range(0, 3) == 0;
  s.kernel_h = point ? 1 : random->range(1, 5);
  s.kernel_w = point ? 1 : random->range(1, 5);
  s.stride_h = random->range(1, 2), s.stride_w = random->range(1, 2);
  s.dilation_h = random->range(1, 2), s.dilation_w = random->range(0, 3) == 0 ? 2 : 1;
  s.pad_top = point ? 0 : random->range(0, s.kernel_h), s.pad_left = point ? 0 : random->range(0, s.kernel_w);
  const int32_t rows = random->range(1, 2), channels = random->range(1, random->range(0, 1) ? 70 : 5);
  const int32_t height = random->range(1, 9), width = random->range(1, 9);
  const int32_t outputs = depthwise ? channels : random->range(1, 40);
  const int32_t spread_h = (s.kernel_h - 1) * s.dilation_h + 1, spread_w = (s.kernel_w - 1) * s.dilation_w + 1;
  const int32_t last_h = height + s.pad_top + random->range(0, point ? 0 : 2) - spread_h;
  const int32_t last_w = width + s.pad_left + random->range(0, point ? 0 : 2) - spread_w;
  if (last_h < 0 || last_w < 0) return false;
  s.groups = depthwise ? channels : 1;
  a->x = {x_bytes, rows, height, width, channels, random->range(-128, 127)};
  a->y = {nullptr, rows, last_h / s.stride_h + 1, last_w / s.stride_w + 1, outputs, random->range(-128, 127)};
  const int32_t taps = s.kernel_h * s.kernel_w, stride = up_to(outputs, kInt8Channels);
  const int32_t k = up_to(taps * channels, kInt8Group);
  if (a->x.size() > kMostX || a->y.size() > kMostY || (depthwise ? taps : k) * stride > kMostWeights) return false;
  for (int8_t& v : x_bytes) v = static_cast<int8_t>(random->next());
  for (int8_t& v : weights) v = static_cast<int8_t>(random->range(-127, 127));
  memset(table, 0, sizeof table);
  for (int32_t c = 0; c < outputs; c++) {
    int32_t sum = 0;
    for (int32_t i = 0; i < taps * (depthwise ? 1 : channels); i++) {
      sum += depthwise ? weights[i * stride + c]
                       : weights[c / kInt8Channels * k * kInt8Channels +
                                 (i / kInt8Group * kInt8Channels + c % kInt8Channels) * kInt8Group + i % kInt8Group];
    }
    table[kInt8Bias * stride + c] = random->range(-20000, 20000);
    table[kInt8Sum * stride + c] = sum;
    table[kInt8Multiplier * stride + c] = multiplier_of(random);
    table[kInt8Shift * stride + c] = random->range(-14, 2);
  }
  a->weight = weights;
  a->table = table;
  a->lo = random->range(0, 1) ? -128 : -20;
  a->hi = random->range(0, 1) ? 127 : 90;
  return true;
}

void say(const char* what, int32_t number) {
  board_write(what);
  board_write_number(static_cast<uint32_t>(number));
}

// Both kernels' bytes of one shape; `name` is told where they differ.
template <class Args>
bool same_bytes(Random* random, const char* name, const Args& args, void (*reference)(const Args&, int, int, void*),
                void (*own)(const Args&, int, int, void*)) {
  Args a = args;
  memset(expected, 77, sizeof expected);
  memset(found, 77, sizeof found);
  a.y.data = expected;
  reference(a, 0, 1, nullptr);
  a.y.data = found;
  const int parts = random->range(1, 3);
  for (int part = parts; part-- > 0;) own(a, part, parts, nullptr);
  if (memcmp(expected, found, sizeof found) == 0) return true;
  board_write(name);
  say(": rows ", a.y.rows), say(", channels ", a.y.channels), say(", ", a.y.height), say(" x ", a.y.width);
  say(", parts ", parts);
  board_write(": other bytes than the reference\n");
  return false;
}

bool conv_is_same(Random* random, const Int8ConvArgs& a, bool depthwise) {
  if (depthwise ? same_bytes(random, "depthwise", a, reference::int8_depthwise, mve::int8_depthwise)
                : same_bytes(random, "conv", a, reference::int8_conv, mve::int8_conv))
    return true;
  say("of ", a.x.channels), say(" channels, ", a.x.height), say(" x ", a.x.width);
  say(", window ", a.shape.kernel_h), say(" x ", a.shape.kernel_w), say(", stride ", a.shape.stride_h);
  say(" ", a.shape.stride_w), say(", dilation ", a.shape.dilation_h), say(" ", a.shape.dilation_w);
  say(", padding ", a.shape.pad_top), say(" ", a.shape.pad_left);
  board_write("\n");
  return false;
}

bool pointwise_is_same(Random* random) {
  for (int8_t& v : x_bytes) v = static_cast<int8_t>(random->next());
  const int32_t rows = random->range(1, 3), channels = random->range(1, 20), height = random->range(1, 7);
  const int32_t width = random->range(1, 7);
  const Int8Tensor x = {x_bytes, rows, height, width, channels, random->range(-128, 127)};
  Int8AddArgs add = {x, x, x, {}, {}, random->range(0, 1) ? -128 : -20, random->range(0, 1) ? 127 : 90};
  add.b.data = x_bytes + random->range(0, 1000);
  add.b.zero_point = random->range(-128, 127), add.y.zero_point = random->range(-128, 127);
  for (int i = 0; i < 3; i++) {
    add.multiplier[i] = multiplier_of(random);
    add.shift[i] = i < 2 ? -random->range(0, 7) : -random->range(15, 22);
  }
  Int8MeanArgs mean = {
      x, x, multiplier_of(random), random->range(-9, 1), random->range(-300, 300), random->range(-5000, 5000)};
  mean.y.height = mean.y.width = 1;
  return same_bytes(random, "add", add, reference::int8_add, mve::int8_add) &&
         same_bytes(random, "mean", mean, reference::int8_mean, mve::int8_mean);
}

// Halves, which go away from zero, and what no integer is made of.
bool quantize_is_same(Random* random) {
  static float values[kMostX];
  constexpr float kOdd[] = {1e30f, -1e30f, __builtin_inff(), __builtin_nanf(""), 0.49999997f, 1e-40f, -1e-40f, -0.0f};
  const int32_t lanes = random->range(0, 1) ? 16 : random->range(1, 5), groups = lanes == 16 ? 2 : 1;
  const int32_t channels = random->range(1, 4), height = random->range(1, 6), width = random->range(1, 6);
  const float scale = random->range(0, 1) ? 0.25f : 0.013f;
  for (float& v : values) {
    v = static_cast<float>(random->range(-300, 300)) * 0.5f * scale;
    if (random->range(0, 9) == 0) v = kOdd[random->range(0, 7)];
  }
  const Int8QuantizeArgs args = {{values, groups, channels, height, width, lanes},
                                 {nullptr, groups * lanes, height, width, channels, random->range(-128, 127)},
                                 scale};
  return same_bytes(random, "quantize", args, reference::int8_quantize, mve::int8_quantize);
}

}  // namespace
}  // namespace edgecl

int main() {
  using namespace edgecl;
  Random random = {7};
  int layers[2] = {0, 0};
  while (layers[0] < kLayers || layers[1] < kLayers) {
    const bool depthwise = layers[1] < layers[0];
    Int8ConvArgs a = {};
    if (!make_layer(&random, depthwise, &a)) continue;
    if (!conv_is_same(&random, a, depthwise)) return 1;
    layers[depthwise]++;
  }
  for (int i = 0; i < kLayers; i++) {
    if (!pointwise_is_same(&random) || !quantize_is_same(&random)) return 1;
  }
  say("the reference's bytes: ", layers[0]), say(" convolutions, ", layers[1]);
  say(" depthwise, and of the others each ", kLayers);
  board_write("\n");
  return 0;
}
