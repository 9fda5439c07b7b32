// Geometry of a convolution as stride-1 taps over a packed strip of its source.
// Never here: packing itself (simd/conv_pack.h), the choice of strips.
#ifndef EDGECL_KERNELS_PLAN_CONV_AXIS_H_
#define EDGECL_KERNELS_PLAN_CONV_AXIS_H_

#include "kernels/plan/vector_shape.h"

namespace edgecl::plan {

// One spatial axis. Output position i and the axis's m-th tap meet at source position start + m * delta + i * step, and
// the tap is number tap_first + m * tap_step of the weight. Output position i lies at destination position out_first +
// i * out_step. Taps m, m + classes, .. of one class share a packed phase of the source and differ by a shift in it.
struct Axis {
  int count, tap_first, tap_step;
  int start, delta, step;
  int out, out_first, out_step;
  int classes;

  EDGECL_ALWAYS_INLINE int members(int c) const { return (count - 1 - c) / classes + 1; }
  // Packed positions between two successive taps of a class.
  EDGECL_ALWAYS_INLINE int unit() const { return classes * delta / step; }
  EDGECL_ALWAYS_INLINE int shift(int m) const {
    const int i = m / classes;
    return delta >= 0 ? i * unit() : (members(m % classes) - 1 - i) * -unit();
  }
  EDGECL_ALWAYS_INLINE int max_shift() const {
    return count == 0 ? 0 : (members(0) - 1) * (delta >= 0 ? unit() : -unit());
  }
  EDGECL_ALWAYS_INLINE int class_start(int c) const {
    return start + (delta >= 0 ? c : c + classes * (members(c) - 1)) * delta;
  }
};

// Forward axis: source = input, destination = output.
Axis forward_axis(int kernel, int stride, int dilation, int pad, int out);
// Phase 0 <= phase < stride of an input gradient's axis: source = dY, destination = dX (size `in`). O(kernel).
Axis gradient_axis(int kernel, int stride, int dilation, int pad, int in, int phase);

// An input gradient has stride_h * stride_w phases, up to 2^32; plans and their sizes tell apart only a few kinds: by
// how many taps take part (two numbers, or none), how many positions there are (two), and whether one tap lies in
// place.
struct PhaseKinds {
  static constexpr int kMost = 12;
  Axis axis[kMost];
  int n;
};
// One phase of each kind that the axis has; a phase without taps counts as present where some phase may lack them.
// O(kernel).
PhaseKinds phase_kinds(int kernel, int stride, int dilation, int pad, int in);

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
  int64_t channel;       // floats between channels; never less for more rows, columns or lanes
};
PackLayout pack_layout(const Axis& h, const Axis& w, int64_t rows, int64_t columns, int64_t lanes);
EDGECL_ALWAYS_INLINE inline int64_t tap_offset(const PackLayout& p, const Axis& h, const Axis& w, int lanes, int mh,
                                               int mw) {
  return (mw % w.classes) * p.column_class +
         (static_cast<int64_t>(mh % h.classes) * p.class_rows + h.shift(mh)) * p.pitch +
         static_cast<int64_t>(w.shift(mw)) * lanes;
}

}  // namespace edgecl::plan

#endif  // EDGECL_KERNELS_PLAN_CONV_AXIS_H_
