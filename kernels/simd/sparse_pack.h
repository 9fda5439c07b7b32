// Packs a region of many channels as conv_pack.h lays it out; the form for 16 lanes is written out.
// Never here: multiply-adds, the layout itself.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_PACK_H_
#define EDGECL_KERNELS_SIMD_SPARSE_PACK_H_

#include "kernels/kernels.h"
#include "kernels/simd/conv_pack.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// Source columns of one column class: packed positions [low, high) exist in the image, `first` is the source column of
// position 0.
struct PackColumns {
  int low, high, first;
};
static inline PackColumns pack_columns(const Axis& w, int column_class, int column, int columns, int width) {
  PackColumns p;
  p.first = w.class_start(column_class) + column * w.step;
  p.low = p.first < 0 ? (-p.first + w.step - 1) / w.step : 0;
  if (p.low > columns) p.low = columns;
  p.high = p.first < width ? (width - 1 - p.first) / w.step + 1 : 0;
  if (p.high > columns) p.high = columns;
  if (p.high < p.low) p.high = p.low;
  return p;
}

// One plane with 16 lanes. `ahead`: floats to the plane that will be packed next; its lines are asked for on the way.
EDGECL_INLINE void pack_plane16(const PackLayout& layout, const Axis& h, const Axis& w, const float* plane, int height,
                                int width, int row, int column, int64_t ahead, float* packed) {
  const int columns = static_cast<int>(layout.pitch / 16);
  const int64_t step = static_cast<int64_t>(w.step) * 16;
  for (int cw = 0; cw < w.classes; cw++) {
    const PackColumns c = pack_columns(w, cw, column, columns, width);
    for (int ch = 0; ch < h.classes; ch++) {
      int source = h.class_start(ch) + row * h.step;
      for (int i = 0; i < layout.class_rows; i++, source += h.step, packed += layout.pitch) {
        const bool outside = source < 0 || source >= height;
        const int low = outside ? columns : c.low, high = outside ? columns : c.high;
        const float* from = plane + (static_cast<int64_t>(source) * width + c.first) * 16;
        for (int j = 0; j < low; j++) store16(packed + j * 16, zero16());
        for (int j = low; j < high; j++) {
          __builtin_prefetch(from + j * step + ahead);
          store16(packed + j * 16, load16(from + j * step));
        }
        for (int j = high; j < columns; j++) store16(packed + j * 16, zero16());
      }
    }
  }
}

// Channels [begin, end) of the source planes at `source` (of channel 0).
static inline void pack_channels(const PackLayout& layout, const Axis& h, const Axis& w, const Tensor& source_shape,
                                 const float* source, int row, int column, int64_t begin, int64_t end, float* packed) {
  const int64_t plane = source_shape.plane();
  const int height = source_shape.height, width = source_shape.width, lanes = source_shape.lanes;
  for (int64_t c = begin; c < end; c++, packed += layout.channel) {
    if (lanes == 16)
      pack_plane16(layout, h, w, source + c * plane, height, width, row, column, plane, packed);
    else
      pack_plane(layout, h, w, source + c * plane, height, width, lanes, row, column, packed);
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_PACK_H_
