// Between floats, whose lanes are batch rows, and int8, whose lanes are channels.
// Never here: input normalisation (input_normalize.cpp).
#include "kernels/simd/int8.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

namespace {

// Rounded, moved by the zero point and clamped: what is stored, in lanes.
struct Rounding {
  vec scale;
  ivec zero_point;
  EDGECL_ALWAYS_INLINE ivec operator()(const float* from, int n) const {
    const vec half = vset(0.5f), most = vset(1e6f);
    const vec v = vmin(vmax(vload_n(from, n) / scale, -most), most);
    const ivec whole = __builtin_convertvector(v, ivec);
    const vec rest = v - __builtin_convertvector(whole, vec);
    return clamp_int32(whole - (rest >= half) + (rest <= -half) + zero_point, iset(-128), iset(127));
  }
};

// kChannels channels of n positions, kStore bytes each: what of them belongs to the next position is written again with
// that.
template <int kChannels, int kStore = kChannels>
EDGECL_INLINE void quantize_channels(const float* from, int64_t plane, const Rounding& round, int8_t* to,
                                     int64_t channels, int n) {
  ivec packed = {};
  EDGECL_UNROLL
  for (int k = 0; k < kChannels; k++) packed = packed | ((round(from + k * plane, n) & 255) << (8 * k));
  int32_t stored[kVec];
  memcpy(stored, &packed, sizeof stored);
  for (int i = 0; i + 1 < n; i++) memcpy(to + i * channels, stored + i, kStore);
  memcpy(to + (n - 1) * channels, stored + n - 1, kChannels);
}

// One batch row, whose positions lie one behind the other in each channel: up to four channels of a position at once.
void quantize_row(const Int8QuantizeArgs& a, const Rounding& round, int part, int n_parts) {
  const int64_t channels = a.x.channels, plane = a.x.plane();
  int64_t block, end;
  share((plane + kVec - 1) / kVec, part, n_parts, &block, &end);
  for (; block < end; block++) {
    const int64_t position = block * kVec;
    const int n = static_cast<int>(plane - position < kVec ? plane - position : kVec);
    const float* from = a.x.data + position;
    int8_t* to = a.y.data + position * channels;
    int64_t c = 0;
    for (; c + 4 <= channels; c += 4) quantize_channels<4>(from + c * plane, plane, round, to + c, channels, n);
    if (channels == 3) {  // a picture
      quantize_channels<3, 4>(from, plane, round, to, channels, n);
      continue;
    }
    if (channels - c == 3) quantize_channels<3>(from + c * plane, plane, round, to + c, channels, n);
    if (channels - c == 2) quantize_channels<2>(from + c * plane, plane, round, to + c, channels, n);
    if (channels - c == 1) quantize_channels<1>(from + c * plane, plane, round, to + c, channels, n);
  }
}

}  // namespace

void int8_quantize(const Int8QuantizeArgs& a, int part, int n_parts, void*) {
  const Tensor& x = a.x;
  const Rounding round = {vset(a.scale), iset(a.y.zero_point)};
  if (x.lanes == 1 && x.groups == 1) return quantize_row(a, round, part, n_parts);
  const int64_t plane = x.plane(), positions = plane / x.lanes, channels = x.channels, lanes = x.lanes;
  const int64_t row_bytes = positions * channels;
  int64_t gc, end;
  share(static_cast<int64_t>(x.groups) * x.channels, part, n_parts, &gc, &end);
  for (; gc < end; gc++) {
    const float* from = x.data + gc * plane;
    int8_t* to = a.y.data + gc / x.channels * x.lanes * positions * x.channels + gc % x.channels;
    int64_t lane = 0;
    for (int64_t i = 0; i < plane; i += kVec) {
      const int n = static_cast<int>(plane - i < kVec ? plane - i : kVec);
      const ivec q = round(from + i, n);
      int32_t stored[kVec];
      memcpy(stored, &q, sizeof stored);
      for (int k = 0; k < n; k++) {
        to[lane * row_bytes] = static_cast<int8_t>(stored[k]);
        if (++lane < lanes) continue;
        lane = 0;
        to += channels;
      }
    }
  }
}

void int8_dequantize(const Int8DequantizeArgs& a, int part, int n_parts, void*) {
  const Tensor& y = a.y;
  const int64_t plane = y.plane(), positions = plane / y.lanes;
  int64_t gc, end;
  share(static_cast<int64_t>(y.groups) * y.channels, part, n_parts, &gc, &end);
  for (; gc < end; gc++) {
    const int8_t* from = a.x.data + gc / y.channels * y.lanes * positions * y.channels + gc % y.channels;
    float* to = y.data + gc * plane;
    for (int64_t position = 0; position < positions; position++)
      for (int64_t lane = 0; lane < y.lanes; lane++)
        *to++ = static_cast<float>(from[(lane * positions + position) * y.channels] - a.x.zero_point) * a.scale;
  }
}

}  // namespace edgecl::EDGECL_LEVEL
