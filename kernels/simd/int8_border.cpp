// Between floats, whose lanes are batch rows, and int8, whose lanes are channels.
// Never here: input normalisation (input_normalize.cpp).
// Built for size (-Os): a tensor or two of a network.
#include "kernels/simd/int8.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

void int8_quantize(const Int8QuantizeArgs& a, int part, int n_parts, void*) {
  const Tensor& x = a.x;
  const int64_t plane = x.plane(), positions = plane / x.lanes, channels = x.channels, lanes = x.lanes;
  const int64_t row_bytes = positions * channels;
  const vec half = vset(0.5f), most = vset(1e6f), scale = vset(a.scale);
  const ivec lo = iset(-128), hi = iset(127), zero_point = iset(a.y.zero_point);
  int64_t gc, end;
  share(static_cast<int64_t>(x.groups) * x.channels, part, n_parts, &gc, &end);
  for (; gc < end; gc++) {
    const float* from = x.data + gc * plane;
    int8_t* to = a.y.data + gc / x.channels * x.lanes * positions * x.channels + gc % x.channels;
    int64_t lane = 0;
    for (int64_t i = 0; i < plane; i += kVec) {
      const int n = static_cast<int>(plane - i < kVec ? plane - i : kVec);
      const vec v = vmin(vmax(vload_n(from + i, n) / scale, -most), most);
      const ivec whole = __builtin_convertvector(v, ivec);
      const vec rest = v - __builtin_convertvector(whole, vec);
      const ivec q = clamp_int32(whole - (rest >= half) + (rest <= -half) + zero_point, lo, hi);
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
