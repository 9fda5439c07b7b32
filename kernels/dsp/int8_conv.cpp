// Convolution in int8 for cores of 32 bits that multiply two pairs of 16 bits at once (Cortex-A, and the DSP extension of
// Cortex-M4, M7, M33 and M55): what builds for 32-bit Arm and firmware take in place of the scalar reference, with the same
// bits.
// Indices have 32 bits, as the memory of such a core. Never here: vectors of more than 32 bits.
//
// A group of four weights is one word; its bytes 0 and 2, and 1 and 3, become pairs of 16 bits by one instruction each. The
// four values of the input are put into the same order once, minus the zero point, with 0 in the border; so no sum has to be
// corrected.
#include <string.h>

#include "kernels/dsp/pairs.h"
#include "kernels/dsp/window.h"

namespace edgecl::dsp {
namespace {

constexpr int kChunk = 32;  // groups that are gathered together: 256 bytes of stack
constexpr int kAtOnce = 4;  // sums in registers
constexpr int kBlockBytes = kInt8Channels * kInt8Group;

int8_t finish(const Int8ConvArgs& a, int32_t sum, int32_t stride, int32_t channel) {
  const int32_t* table = a.table + channel;
  const int32_t y =
      requantize(table[kInt8Bias * stride] + sum, table[kInt8Multiplier * stride], table[kInt8Shift * stride]);
  const int32_t moved = y + a.y.zero_point;
  return static_cast<int8_t>(moved < a.lo ? a.lo : moved > a.hi ? a.hi : moved);
}

// Walks over the values of a window in the order of the weights.
struct Taps {
  const Int8ConvArgs& a;
  const Window& at;
  int32_t ky = 0, kx = 0, c = 0;
  const int8_t* tap;

  Taps(const Int8ConvArgs& args, const Window& window) : a(args), at(window), tap(tap_of(args, window, 0, 0)) {}
  bool ended() const { return ky == a.shape.kernel_h; }
  bool has_group() const { return !ended() && c + kInt8Group <= a.x.channels; }  // four values of one tap
  void advance(int32_t n) {                                                      // within a tap
    c += n;
    if (c < a.x.channels) return;
    c = 0;
    if (++kx == a.shape.kernel_w) {
      kx = 0;
      ky++;
    }
    if (!ended()) tap = tap_of(a, at, ky, kx);
  }
  int32_t next() {  // 0 behind the last
    if (ended()) return 0;
    const int32_t value = tap == nullptr ? 0 : tap[c] - a.x.zero_point;
    advance(1);
    return value;
  }
};

// values [2 * groups]: of each group the pair of its values 0 and 2, and that of 1 and 3.
void gather(Taps* taps, int groups, uint32_t* values) {
  const Int8ConvArgs& a = taps->a;
  for (int g = 0; g < groups; g++) {
    if (taps->has_group()) {
      values[2 * g] = values[2 * g + 1] = 0;
      if (taps->tap != nullptr) {
        const uint32_t word = load_word(taps->tap + taps->c);
        values[2 * g] = minus_both(bytes_0_and_2(word), a.x.zero_point);
        values[2 * g + 1] = minus_both(bytes_1_and_3(word), a.x.zero_point);
      }
      taps->advance(kInt8Group);
      continue;
    }
    int32_t value[kInt8Group];
    for (int32_t& v : value) v = taps->next();
    values[2 * g] = pair(value[0], value[2]);
    values[2 * g + 1] = pair(value[1], value[3]);
  }
}

// sums [kInt8Channels] += a block's weights times values. `weight` is the block's at the first of the groups.
void add_products(const int8_t* weight, const uint32_t* values, int groups, int32_t* sums) {
  for (int channel = 0; channel < kInt8Channels; channel += kAtOnce) {
    const int8_t* w = weight + channel * kInt8Group;
    int32_t s0 = sums[channel], s1 = sums[channel + 1], s2 = sums[channel + 2], s3 = sums[channel + 3];
    for (int g = 0; g < groups; g++, w += kBlockBytes) {
      const uint32_t even = values[2 * g], odd = values[2 * g + 1];
      const uint32_t w0 = load_word(w), w1 = load_word(w + 4), w2 = load_word(w + 8), w3 = load_word(w + 12);
      s0 = add_two_products(bytes_1_and_3(w0), odd, add_two_products(bytes_0_and_2(w0), even, s0));
      s1 = add_two_products(bytes_1_and_3(w1), odd, add_two_products(bytes_0_and_2(w1), even, s1));
      s2 = add_two_products(bytes_1_and_3(w2), odd, add_two_products(bytes_0_and_2(w2), even, s2));
      s3 = add_two_products(bytes_1_and_3(w3), odd, add_two_products(bytes_0_and_2(w3), even, s3));
    }
    sums[channel] = s0, sums[channel + 1] = s1, sums[channel + 2] = s2, sums[channel + 3] = s3;
  }
}

}  // namespace

void int8_conv(const Int8ConvArgs& a, int part, int n_parts, void*) {
  const int32_t k = a.shape.kernel_h * a.shape.kernel_w * a.x.channels;
  const int32_t groups = (k + kInt8Group - 1) / kInt8Group, stride = table_stride(a);
  const Positions positions = positions_of(a, part, n_parts);
  for (int32_t p = positions.begin; p < positions.end; p++) {
    const Window at = window_of(a, p);
    uint32_t values[2 * kChunk];
    const bool once = groups <= kChunk;  // one gathering serves all blocks
    if (once) {
      Taps taps(a, at);
      gather(&taps, groups, values);
    }
    for (int32_t o = 0; o < a.y.channels; o += kInt8Channels) {
      int32_t sums[kInt8Channels] = {};
      const int8_t* const block = a.weight + o * groups * kInt8Group;
      if (once) {
        add_products(block, values, groups, sums);
      } else {
        Taps taps(a, at);
        for (int32_t g = 0; g < groups; g += kChunk) {
          const int n = groups - g < kChunk ? groups - g : kChunk;
          gather(&taps, n, values);
          add_products(block + g * kBlockBytes, values, n, sums);
        }
      }
      const int32_t n = a.y.channels - o < kInt8Channels ? a.y.channels - o : kInt8Channels;
      for (int32_t i = 0; i < n; i++) a.y.data[p * a.y.channels + o + i] = finish(a, sums[i], stride, o + i);
    }
  }
}

void int8_depthwise(const Int8ConvArgs& a, int part, int n_parts, void*) {
  const int32_t stride = table_stride(a);
  const Positions positions = positions_of(a, part, n_parts);
  for (int32_t p = positions.begin; p < positions.end; p++) {
    const Window at = window_of(a, p);
    for (int32_t c = 0; c < a.y.channels; c += kAtOnce) {
      int32_t sums[kAtOnce] = {};
      for (int32_t ky = 0; ky < a.shape.kernel_h; ky++) {
        for (int32_t kx = 0; kx < a.shape.kernel_w; kx++) {
          const int8_t* const tap = tap_of(a, at, ky, kx);
          if (tap == nullptr) continue;
          const uint32_t x = load_word(tap + c);  // of the last channels it may read kReadSlack behind the tensor
          const uint32_t w = load_word(a.weight + (ky * a.shape.kernel_w + kx) * stride + c);
          const uint32_t even = minus_both(bytes_0_and_2(x), a.x.zero_point),
                         odd = minus_both(bytes_1_and_3(x), a.x.zero_point);
          sums[0] = add_low_product(bytes_0_and_2(w), even, sums[0]);
          sums[1] = add_low_product(bytes_1_and_3(w), odd, sums[1]);
          sums[2] = add_high_product(bytes_0_and_2(w), even, sums[2]);
          sums[3] = add_high_product(bytes_1_and_3(w), odd, sums[3]);
        }
      }
      const int32_t n = a.y.channels - c < kAtOnce ? a.y.channels - c : kAtOnce;
      for (int32_t i = 0; i < n; i++) a.y.data[p * a.y.channels + c + i] = finish(a, sums[i], stride, c + i);
    }
  }
}

}  // namespace edgecl::dsp
