// Addition, global mean and the borders of floats in int8: scalar reference.
// Never here: convolutions.
#include "kernels/reference/common.h"

namespace edgecl {

uint64_t ScratchTable::int8_add_scratch_bytes(const Int8AddArgs&) const {
  return 0;
}
uint64_t ScratchTable::int8_mean_scratch_bytes(const Int8MeanArgs&) const {
  return 0;
}
uint64_t ScratchTable::int8_quantize_scratch_bytes(const Int8QuantizeArgs&) const {
  return 0;
}
uint64_t ScratchTable::int8_dequantize_scratch_bytes(const Int8DequantizeArgs&) const {
  return 0;
}

namespace reference {
namespace {

int8_t clamped(int32_t y, int32_t lo, int32_t hi) {
  return static_cast<int8_t>(y < lo ? lo : y > hi ? hi : y);
}

int32_t scaled(int8_t stored, int32_t zero_point, int32_t multiplier, int32_t shift) {
  return requantize((stored - zero_point) * (1 << 20), multiplier, shift);
}

// Halves away from zero. Beyond 1e6 everything is clamped anyway.
int32_t rounded(float x) {
  const float v = smaller(larger(x, -1e6f), 1e6f);
  const int32_t whole = static_cast<int32_t>(v);
  const float rest = v - static_cast<float>(whole);
  return whole + (rest >= 0.5f ? 1 : 0) - (rest <= -0.5f ? 1 : 0);
}

}  // namespace

void int8_add(const Int8AddArgs& a, int part, int n_parts, void*) {
  const Share values = share_of(a.y.size(), part, n_parts);
  for (int64_t i = values.begin; i < values.end; i++) {
    const int32_t sum = scaled(a.a.data[i], a.a.zero_point, a.multiplier[0], a.shift[0]) +
                        scaled(a.b.data[i], a.b.zero_point, a.multiplier[1], a.shift[1]);
    const int32_t y = requantize(sum, a.multiplier[2], a.shift[2]);
    a.y.data[i] = clamped(y + a.y.zero_point, a.lo, a.hi);
  }
}

void int8_mean(const Int8MeanArgs& a, int part, int n_parts, void*) {
  const int64_t channels = a.x.channels, positions = static_cast<int64_t>(a.x.height) * a.x.width;
  const Share values = share_of(a.x.rows * channels, part, n_parts);
  for (int64_t i = values.begin; i < values.end; i++) {
    const int8_t* x = a.x.data + i / channels * positions * channels + i % channels;
    int32_t sum = a.start;
    for (int64_t p = 0; p < positions; p++) sum += x[p * channels];
    const int32_t y = requantize(sum, a.multiplier, a.shift);
    a.y.data[i] = clamped(y + a.offset, -128, 127);
  }
}

void int8_quantize(const Int8QuantizeArgs& a, int part, int n_parts, void*) {
  const Share values = share_of(a.x.size(), part, n_parts);
  for (int64_t i = values.begin; i < values.end; i++) {
    const int64_t plane = a.x.plane(), group = i / plane / a.x.channels, channel = i / plane % a.x.channels;
    const int64_t row = group * a.x.lanes + i % a.x.lanes, position = i % plane / a.x.lanes;
    const int32_t y = rounded(a.x.data[i] / a.scale) + a.y.zero_point;
    a.y.data[(row * (plane / a.x.lanes) + position) * a.x.channels + channel] = clamped(y, -128, 127);
  }
}

void int8_dequantize(const Int8DequantizeArgs& a, int part, int n_parts, void*) {
  const Share values = share_of(a.y.size(), part, n_parts);
  for (int64_t i = values.begin; i < values.end; i++) {
    const int64_t plane = a.y.plane(), group = i / plane / a.y.channels, channel = i / plane % a.y.channels;
    const int64_t row = group * a.y.lanes + i % a.y.lanes, position = i % plane / a.y.lanes;
    const int8_t stored = a.x.data[(row * (plane / a.y.lanes) + position) * a.y.channels + channel];
    a.y.data[i] = static_cast<float>(stored - a.x.zero_point) * a.scale;
  }
}

}  // namespace reference
}  // namespace edgecl
