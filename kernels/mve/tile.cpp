// Tables are loaded once for the positions of a tile.
// Never here: windows.
#include "kernels/mve/tile.h"

namespace edgecl::mve {

void finish(const Int8ConvArgs& a, const Sums& all, int32_t p, int32_t rows, int32_t o, int32_t zero_point) {
  const int32_t stride = dsp::table_stride(a), channels = a.y.channels, up = a.y.zero_point;
  const int32x4_t lo = vdupq_n_s32(a.lo), hi = vdupq_n_s32(a.hi);
  for (int32_t c = 0; c < kInt8Channels && o + c < channels; c += 4) {
    const int32_t* const table = a.table + o + c;
    const int32x4_t bias =
        vmlaq_n_s32(vld1q_s32(table + kInt8Bias * stride), vld1q_s32(table + kInt8Sum * stride), -zero_point);
    const Scale scale = scale_of(vld1q_s32(table + kInt8Multiplier * stride), vld1q_s32(table + kInt8Shift * stride));
    const int32_t* sums = all[0] + c;
    int8_t* y = a.y.data + p * channels + o + c;
    const auto result = [&](const int32_t* from) {
      const int32x4_t moved = vaddq_n_s32(requantize(vaddq_s32(vld1q_s32(from), bias), scale), up);
      return vmaxq_s32(vminq_s32(moved, hi), lo);
    };
    if (o + c + 4 <= channels) {
      for (int32_t i = 0; i < rows; i++, y += channels, sums += kInt8Channels) vstrbq_s32(y, result(sums));
    } else {
      const mve_pred16_t there = vctp32q(static_cast<uint32_t>(channels - o - c));
      for (int32_t i = 0; i < rows; i++, y += channels, sums += kInt8Channels) vstrbq_p_s32(y, result(sums), there);
    }
  }
}

Places places_of(const Int8ConvArgs& a, int32_t p, int32_t end) {
  Places places;
  places.rows = end - p < kPositions ? end - p : kPositions;
  for (int32_t i = 0; i < kPositions; i++) {
    places.at[i] = dsp::window_of(a, p + (i < places.rows ? i : places.rows - 1));
  }
  return places;
}

}  // namespace edgecl::mve
