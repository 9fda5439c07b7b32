// Addition, global mean and the border of floats in int8, four values at once, for cores with the M-profile vector
// extension.
// Indices have 32 bits: of the scalar quantisation their 64-bit divisions are nearly all. Never here: convolutions.
#include "kernels/mve/vectors.h"
#include "kernels/reference/common.h"

namespace edgecl::mve {
namespace {

using reference::Share;
using reference::share_of;

Scale one_scale(int32_t multiplier, int32_t shift) {
  return scale_of(vdupq_n_s32(multiplier), vdupq_n_s32(shift));
}
EDGECL_MVE int32x4_t clamped(int32x4_t y, int32_t lo, int32_t hi) {
  return vmaxq_s32(vminq_s32(y, vdupq_n_s32(hi)), vdupq_n_s32(lo));
}
EDGECL_MVE mve_pred16_t first_of(int32_t n) {
  return vctp32q(static_cast<uint32_t>(n));
}
EDGECL_MVE int32x4_t scaled(const int8_t* stored, int32_t zero_point, const Scale& scale) {
  return requantize(vshlq_n_s32(vsubq_n_s32(vldrbq_s32(stored), zero_point), 20), scale);
}

}  // namespace

void int8_add(const Int8AddArgs& a, int part, int n_parts, void*) {
  const Share values = share_of(a.y.size(), part, n_parts);
  const int32_t end = static_cast<int32_t>(values.end);
  const Scale first = one_scale(a.multiplier[0], a.shift[0]), second = one_scale(a.multiplier[1], a.shift[1]);
  const Scale both = one_scale(a.multiplier[2], a.shift[2]);
  for (int32_t i = static_cast<int32_t>(values.begin); i < end; i += 4) {
    const int32x4_t sum =
        vaddq_s32(scaled(a.a.data + i, a.a.zero_point, first), scaled(a.b.data + i, a.b.zero_point, second));
    const int32x4_t y = vaddq_n_s32(requantize(sum, both), a.y.zero_point);
    vstrbq_p_s32(a.y.data + i, clamped(y, a.lo, a.hi), first_of(end - i));
  }
}

void int8_mean(const Int8MeanArgs& a, int part, int n_parts, void*) {
  const int32_t channels = a.x.channels, positions = a.x.height * a.x.width;
  const Share blocks = share_of(a.x.rows * ((channels + 3) / 4), part, n_parts);
  const Scale scale = one_scale(a.multiplier, a.shift);
  for (int32_t block = static_cast<int32_t>(blocks.begin); block < static_cast<int32_t>(blocks.end); block++) {
    const int32_t row = block / ((channels + 3) / 4), c = block % ((channels + 3) / 4) * 4;
    const int8_t* x = a.x.data + row * positions * channels + c;
    int32x4_t sum = vdupq_n_s32(a.start);
    for (int32_t p = 0; p < positions; p++, x += channels) sum = vaddq_s32(sum, vldrbq_s32(x));
    const int32x4_t y = vaddq_n_s32(requantize(sum, scale), a.offset);
    vstrbq_p_s32(a.y.data + row * channels + c, clamped(y, -128, 127), first_of(channels - c));
  }
}

// The quotients are scalar ones, for vectors have no division. Their rounding, halves away from zero, is an instruction;
// that it takes subnormal numbers for zero changes no integer.
void int8_quantize(const Int8QuantizeArgs& a, int part, int n_parts, void*) {
  const int32_t channels = a.x.channels, lanes = a.x.lanes, positions = a.x.height * a.x.width;
  const Share planes = share_of(static_cast<int64_t>(a.x.groups) * channels * lanes, part, n_parts);
  const uint32x4_t places = vmulq_n_u32(vidupq_n_u32(0, 1), static_cast<uint32_t>(channels));
  for (int32_t plane = static_cast<int32_t>(planes.begin); plane < static_cast<int32_t>(planes.end); plane++) {
    const int32_t lane = plane % lanes, channel = plane / lanes % channels, group = plane / lanes / channels;
    const float* x = a.x.data + (group * channels + channel) * positions * lanes + lane;
    int8_t* y = a.y.data + (group * lanes + lane) * positions * channels + channel;
    for (int32_t p = 0; p < positions; p += 4, x += 4 * lanes, y += 4 * channels) {
      const int32_t n = positions - p < 4 ? positions - p : 4;
      float quotients[4] = {};
      for (int32_t i = 0; i < n; i++) quotients[i] = x[i * lanes] / a.scale;
      // What is no number counts as the lower bound, as in the scalar form.
      const float32x4_t bounded = vminnmq_f32(vmaxnmq_f32(vld1q_f32(quotients), vdupq_n_f32(-1e6f)), vdupq_n_f32(1e6f));
      const int32x4_t rounded = vaddq_n_s32(vcvtaq_s32_f32(bounded), a.y.zero_point);
      vstrbq_scatter_offset_p_s32(y, places, clamped(rounded, -128, 127), first_of(n));
    }
  }
}

}  // namespace edgecl::mve
