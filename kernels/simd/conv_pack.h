// Geometry of a convolution as stride-1 taps over a packed strip of its source, and the packing itself.
// Never here: multiply-adds, tile shapes, the split of work.
#ifndef EDGECL_KERNELS_SIMD_CONV_PACK_H_
#define EDGECL_KERNELS_SIMD_CONV_PACK_H_

#include "kernels/kernels.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// One spatial axis. Output position i and the axis's m-th tap meet at source position start + m * delta + i * step, and
// the tap is number tap_first + m * tap_step of the weight. Output position i lies at destination position out_first +
// i * out_step. Taps m, m + classes, .. of one class share a packed phase of the source and differ by a shift in it.
struct Axis {
  int count, tap_first, tap_step;
  int start, delta, step;
  int out, out_first, out_step;
  int classes;

  int members(int c) const { return (count - 1 - c) / classes + 1; }
  int unit() const { return classes * delta / step; }  // packed positions between two successive taps of a class
  int shift(int m) const {
    const int i = m / classes;
    return delta >= 0 ? i * unit() : (members(m % classes) - 1 - i) * -unit();
  }
  int max_shift() const { return count == 0 ? 0 : (members(0) - 1) * (delta >= 0 ? unit() : -unit()); }
  int class_start(int c) const { return start + (delta >= 0 ? c : c + classes * (members(c) - 1)) * delta; }
};

// Forward axis: source = input, destination = output.
Axis forward_axis(int kernel, int stride, int dilation, int pad, int out);
// Phase 0 <= phase < stride of an input gradient's axis: source = dY, destination = dX (size `in`).
Axis gradient_axis(int kernel, int stride, int dilation, int pad, int in, int phase);
// True where the taps can be reached by shifts in shared phases (any axis of the two above); `separate` gives each tap
// its own copy.
void share_phases(Axis* axis);
void separate_phases(Axis* axis);

// Packed strip of one channel: [column class][row class][row][column][lane], row pitch the same for all.
struct PackLayout {
  int rows, columns;     // output rows and columns that the strip serves
  int class_rows;        // packed rows of a row class
  int64_t pitch;         // floats of a packed row
  int64_t column_class;  // floats of a column class
  int64_t channel;       // floats between channels
};
PackLayout pack_layout(const Axis& h, const Axis& w, int rows, int columns, int lanes);
EDGECL_INLINE int64_t tap_offset(const PackLayout& p, const Axis& h, const Axis& w, int lanes, int mh, int mw) {
  return (mw % w.classes) * p.column_class +
         (static_cast<int64_t>(mh % h.classes) * p.class_rows + h.shift(mh)) * p.pitch +
         static_cast<int64_t>(w.shift(mw)) * lanes;
}
// Packs the strip of output rows [row, row + p.rows) and columns [column, column + p.columns) of one source plane; may
// write kVec floats past the strip.
void pack_plane(const PackLayout& p, const Axis& h, const Axis& w, const float* plane, int height, int width, int lanes,
                int row, int column, float* packed);

EDGECL_INLINE int64_t round_up(int64_t n, int64_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_CONV_PACK_H_
