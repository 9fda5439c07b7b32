// Packing of a strip of a source plane with its zero border, so that every tap of a convolution becomes one constant
// offset. Never here: multiply-adds, tile shapes, the split of work.
#include "kernels/simd/conv_pack.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Whole vectors: may read and write up to kVec - 1 floats too many.
EDGECL_INLINE void copy_over(float* to, const float* from, int64_t n) {
  int64_t i = 0;
#if defined(__aarch64__)
  for (; i + 16 <= n; i += 16) vst1q_f32_x4(to + i, vld1q_f32_x4(from + i));
#endif
  for (; i < n; i += kVec) vstore(to + i, vload(from + i));
}
EDGECL_INLINE void zero_over(float* to, int64_t n) {
  for (int64_t i = 0; i < n; i += kVec) vstore(to + i, vzero());
}

EDGECL_INLINE vec even_lanes(vec a, vec b) {
#if EDGECL_VECTOR_BYTES == 64
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif EDGECL_VECTOR_BYTES == 32
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6);
#endif
}

// Every step-th position of a row, `lanes` floats each. Whole vectors as copy_over; of every second position it may read
// two.
void copy_strided(float* to, const float* from, int positions, int step, int lanes) {
  if (lanes == 1) {
    int i = 0;
    if (step == 2)
      for (; i < positions; i += kVec) vstore(to + i, even_lanes(vload(from + 2 * i), vload(from + 2 * i + kVec)));
    for (; i < positions; i++) to[i] = from[static_cast<int64_t>(i) * step];
    return;
  }
  for (int i = 0; i < positions; i++)
    copy_over(to + static_cast<int64_t>(i) * lanes, from + static_cast<int64_t>(i) * step * lanes, lanes);
}

}  // namespace

void pack_plane(const PackLayout& p, const Axis& h, const Axis& w, const float* plane, int height, int width, int lanes,
                int row, int column, float* packed) {
  const int columns = static_cast<int>(p.pitch / lanes);
  for (int cw = 0; cw < w.classes; cw++) {
    const int first = w.class_start(cw) + column * w.step;
    // Packed columns [low, high) lie inside the source.
    int low = first < 0 ? (-first + w.step - 1) / w.step : 0;
    if (low > columns) low = columns;
    int high = first < width ? (width - 1 - first) / w.step + 1 : 0;
    if (high > columns) high = columns;
    if (high < low) high = low;
    for (int ch = 0; ch < h.classes; ch++) {
      int source = h.class_start(ch) + (row - 1) * h.step;
      for (int i = 0; i < p.class_rows; i++, packed += p.pitch) {
        source += h.step;
        if (source < 0 || source >= height || high == low) {
          zero_over(packed, p.pitch);
          continue;
        }
        if (low > 0) zero_over(packed, static_cast<int64_t>(low) * lanes);
        const float* from =
            plane + (static_cast<int64_t>(source) * width + first + static_cast<int64_t>(low) * w.step) * lanes;
        float* to = packed + static_cast<int64_t>(low) * lanes;
        if (w.step == 1)
          copy_over(to, from, static_cast<int64_t>(high - low) * lanes);
        else
          copy_strided(to, from, high - low, w.step, lanes);
        if (high < columns)
          zero_over(packed + static_cast<int64_t>(high) * lanes, static_cast<int64_t>(columns - high) * lanes);
      }
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
