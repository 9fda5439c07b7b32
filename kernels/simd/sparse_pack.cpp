// Packing for the sparse convolutions: as conv_pack.h lays a region out, with the form for 16 lanes written out, and as
// sparse_split.h does for 20. Never here: multiply-adds, the layouts themselves.
#include "kernels/simd/sparse_pack.h"

#include "kernels/simd/sparse_split.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Source columns of one column class: packed positions [low, high) exist in the image, `first` is the source column of
// position 0.
struct PackColumns {
  int low, high, first;
};
PackColumns pack_columns(const Axis& w, int column_class, int column, int columns, int width) {
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

// `copy(to, from)` and `clear(to)` handle one position of a packed strip.
template <class Copy, class Clear>
EDGECL_INLINE void pack_positions(const PackLayout& layout, const Axis& h, const Axis& w, const float* plane,
                                  int height, int width, int row, int column, int columns, Copy copy, Clear clear) {
  for (int cw = 0; cw < w.classes; cw++) {
    const PackColumns c = pack_columns(w, cw, column, columns, width);
    for (int ch = 0; ch < h.classes; ch++) {
      int source = h.class_start(ch) + row * h.step;
      for (int i = 0; i < layout.class_rows; i++, source += h.step) {
        const bool outside = source < 0 || source >= height;
        const int low = outside ? columns : c.low, high = outside ? columns : c.high;
        const float* from = plane + (static_cast<int64_t>(source) * width + c.first) * kSplitLanes;
        int j = 0;
        for (; j < low; j++) clear();
        for (; j < high; j++) copy(from + static_cast<int64_t>(j) * w.step * kSplitLanes);
        for (; j < columns; j++) clear();
      }
    }
  }
}

#if EDGECL_VECTOR_BYTES == 64
typedef float octet __attribute__((vector_size(32), may_alias));

// The rest of a packed channel where three tap columns are neighbours: six quads of a row make four of its three
// copies.
EDGECL_INLINE void pack_rest3(const SplitLayout& s, const Axis& h, const Axis& w, const float* plane, int height,
                              int width, int row, int column, float* to) {
  const int begin = w.start + (w.delta < 0 ? 2 * w.delta : 0) + column;
  for (int ch = 0; ch < h.classes; ch++) {
    int source = h.class_start(ch) + row * h.step;
    for (int i = 0; i < s.rest.class_rows; i++, source += h.step)
      for (int first = begin; first < begin + s.rest.columns; first += kSplitSide, to += 16) {
        quad q[6];
        EDGECL_UNROLL
        for (int j = 0; j < 6; j++) {
          const int c = first + j;
          const bool inside = source >= 0 && source < height && c >= 0 && c < width;
          q[j] = inside ? load_quad(plane + (static_cast<int64_t>(source) * width + c) * kSplitLanes) : quad{};
        }
        octet pair[3];
        EDGECL_UNROLL
        for (int j = 0; j < 3; j++) pair[j] = __builtin_shufflevector(q[2 * j], q[2 * j + 1], 0, 1, 2, 3, 4, 5, 6, 7);
        const vec a = __builtin_shufflevector(pair[0], pair[1], 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const vec c = __builtin_shufflevector(pair[1], pair[2], 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const vec b = __builtin_shufflevector(a, c, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23, 24, 25, 26, 27);
        vstore(to, w.delta < 0 ? c : a);
        vstore(to + s.rest.column_class, b);
        vstore(to + 2 * s.rest.column_class, w.delta < 0 ? a : c);
      }
  }
}
#endif

}  // namespace

int source_rows(const PackLayout& layout, const Axis& h, const Axis& w, const Tensor& source_shape, int row, int column,
                SourceRow* rows) {
  const int height = source_shape.height, width = source_shape.width, lanes = source_shape.lanes;
  const int columns = static_cast<int>(layout.pitch / 16);
  int n = 0;
  for (int cw = 0; cw < w.classes; cw++) {
    const PackColumns c = pack_columns(w, cw, column, columns, width);
    for (int ch = 0; ch < h.classes; ch++) {
      int source = h.class_start(ch) + row * h.step;
      for (int i = 0; i < layout.class_rows; i++, source += h.step)
        if (source >= 0 && source < height && c.high > c.low && n < kRowsAhead)
          rows[n++] = {(source * width + c.first + c.low * w.step) * lanes, c.high - c.low};
    }
  }
  return n;
}

void pack_channels(const PackLayout& layout, const Axis& h, const Axis& w, const Tensor& source_shape,
                   const float* source, int row, int column, int64_t begin, int64_t end, bool sixteen, bool asked,
                   float* packed) {
  const int64_t plane = source_shape.plane();
  const int height = source_shape.height, width = source_shape.width, lanes = source_shape.lanes;
  for (int64_t c = begin; c < end; c++, packed += layout.channel) {
    if (sixteen)
      pack_plane16(layout, h, w, source + c * plane, height, width, lanes, row, column, asked ? 0 : plane, packed);
    else
      pack_plane(layout, h, w, source + c * plane, height, width, lanes, row, column, packed);
  }
}

void pack_split(const SplitLayout& s, const Axis& h, const Axis& w, const Tensor& shape, const float* source, int row,
                int column, int64_t begin, int64_t end, float* packed) {
  const int columns = static_cast<int>(s.main.pitch / 16);
  for (int64_t c = begin; c < end; c++, packed += s.channel) {
    const float* plane = source + c * shape.plane();
    float* to = packed;
    pack_positions(
        s.main, h, w, plane, shape.height, shape.width, row, column, columns,
        [&](const float* from) __attribute__((always_inline)) {
          store16(to, load16(from));
          to += 16;
        },
        [&]() __attribute__((always_inline)) {
          store16(to, zero16());
          to += 16;
        });
    to = packed + s.main.channel;
#if EDGECL_VECTOR_BYTES == 64
    if (w.count == 3 && w.step == 1 && (w.delta == 1 || w.delta == -1)) {
      pack_rest3(s, h, w, plane + 16, shape.height, shape.width, row, column, to);
      continue;
    }
#endif
    pack_positions(
        s.rest, h, s.rest_w, plane + 16, shape.height, shape.width, row, column, s.rest.columns,
        [&](const float* from) __attribute__((always_inline)) {
          store_quad(to, load_quad(from));
          to += kSplitRest;
        },
        [&]() __attribute__((always_inline)) {
          store_quad(to, quad{});
          to += kSplitRest;
        });
  }
}

}  // namespace edgecl::EDGECL_LEVEL
