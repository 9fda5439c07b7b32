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

// 16 floats each of n positions that lie `step` floats apart.
EDGECL_INLINE void copy16(float* to, const float* from, int n, int64_t step) {
  if (n == 6) {  // a tile of four and its border
#pragma GCC unroll 6
    for (int j = 0; j < 6; j++) store16(to + j * 16, load16(from + j * step));
    return;
  }
  for (int j = 0; j < n; j++) store16(to + j * 16, load16(from + j * step));
}

// 16 lanes of a plane of `lanes` a position. `ahead`: floats to the plane that will be packed next, whose lines are
// asked for on the way, or 0.
EDGECL_INLINE void pack_plane16(const PackLayout& layout, const Axis& h, const Axis& w, const float* plane, int height,
                                int width, int lanes, int row, int column, int64_t ahead, float* packed) {
  const int columns = static_cast<int>(layout.pitch / 16);
  const int64_t step = static_cast<int64_t>(w.step) * lanes;
  for (int cw = 0; cw < w.classes; cw++) {
    const PackColumns c = pack_columns(w, cw, column, columns, width);
    for (int ch = 0; ch < h.classes; ch++) {
      int source = h.class_start(ch) + row * h.step;
      for (int i = 0; i < layout.class_rows; i++, source += h.step, packed += layout.pitch) {
        const bool outside = source < 0 || source >= height;
        const int low = outside ? columns : c.low, high = outside ? columns : c.high;
        const float* from = plane + (static_cast<int64_t>(source) * width + c.first) * lanes;
        for (int j = 0; j < low; j++) store16(packed + j * 16, zero16());
        if (ahead == 0) {
          copy16(packed + low * 16, from + low * step, high - low, step);
        } else {
          for (int j = low; j < high; j++) {
            __builtin_prefetch(from + j * step + ahead, 0, 2);
            store16(packed + j * 16, load16(from + j * step));
          }
        }
        for (int j = high; j < columns; j++) store16(packed + j * 16, zero16());
      }
    }
  }
}

constexpr int kLinesAhead = 256;

// Offsets of the cache lines that pack_plane16 reads of a plane, from the plane's start. Of a larger region
// the rest is left to the hardware.
static inline int source_lines(const PackLayout& layout, const Axis& h, const Axis& w, int height, int width, int lanes,
                               int row, int column, int32_t* line) {
  const int columns = static_cast<int>(layout.pitch / 16);
  int n = 0;
  for (int cw = 0; cw < w.classes; cw++) {
    const PackColumns c = pack_columns(w, cw, column, columns, width);
    for (int ch = 0; ch < h.classes; ch++) {
      int source = h.class_start(ch) + row * h.step;
      for (int i = 0; i < layout.class_rows; i++, source += h.step) {
        if (source < 0 || source >= height) continue;
        for (int j = c.low; j < c.high && n < kLinesAhead; j++)
          line[n++] = (source * width + c.first + j * w.step) * lanes;
      }
    }
  }
  return n;
}

// What will be packed next, asked for a few cache lines at a time while rows are computed, so that far memory is read
// behind the multiply-adds.
struct SourceAhead {
  const int32_t* line;  // floats from a plane's start, one per cache line that will be read of it
  int lines;
  int per_row;         // lines that one row asks for
  const float* plane;  // the plane that `at` lies in
  int64_t plane_floats;
  int at, planes;  // next line; planes that are left

  // Channels [begin, end) of the source planes at `source` (of channel 0), while `rows` rows are computed.
  void aim(const float* source, int64_t floats, int64_t begin, int64_t end, int64_t rows) {
    at = 0;
    plane = source + begin * floats;
    plane_floats = floats;
    planes = lines > 0 ? static_cast<int>(end - begin) : 0;
    per_row = static_cast<int>((lines * (end - begin) + rows - 1) / rows);
  }
  EDGECL_ALWAYS_INLINE void ask() {
    for (int i = 0; i < per_row && planes > 0; i++) {
      __builtin_prefetch(plane + line[at], 0, 2);
      if (++at < lines) continue;
      at = 0;
      plane += plane_floats;
      planes--;
    }
  }
};

// Channels [begin, end) of the source planes at `source` (of channel 0). `sixteen`: 16 lanes from there on alone.
// `asked`: their lines were asked for before.
static inline void pack_channels(const PackLayout& layout, const Axis& h, const Axis& w, const Tensor& source_shape,
                                 const float* source, int row, int column, int64_t begin, int64_t end, bool sixteen,
                                 bool asked, float* packed) {
  const int64_t plane = source_shape.plane();
  const int height = source_shape.height, width = source_shape.width, lanes = source_shape.lanes;
  for (int64_t c = begin; c < end; c++, packed += layout.channel) {
    if (sixteen)
      pack_plane16(layout, h, w, source + c * plane, height, width, lanes, row, column, asked ? 0 : plane, packed);
    else
      pack_plane(layout, h, w, source + c * plane, height, width, lanes, row, column, packed);
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_PACK_H_
