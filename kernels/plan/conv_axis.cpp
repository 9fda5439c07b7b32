// Axes of convolutions and their input gradients, and the layout of a packed strip.
// Never here: vectors, budgets of memory.
#include "kernels/plan/conv_axis.h"

namespace edgecl::plan {
namespace {

// Ends: b falls.
int gcd(int a, int b) {
  while (b) {
    const int r = a % b;
    a = b;
    b = r;
  }
  return a;
}

// Of the phase whose taps are first, first + tap_step, ..; first >= kernel: a phase without taps.
Axis phase_axis(int kernel, int stride, int dilation, int pad, int in, int phase, int first) {
  const int tap_step = stride / gcd(stride, dilation);
  Axis a;
  a.count = first < kernel ? (kernel - 1 - first) / tap_step + 1 : 0;
  a.tap_first = first;
  a.tap_step = tap_step;
  a.start = first < kernel ? (phase + pad - first * dilation) / stride : 0;
  a.delta = -(tap_step * dilation) / stride;
  a.step = 1;
  a.out = in > phase ? static_cast<int>((static_cast<int64_t>(in) - phase + stride - 1) / stride) : 0;
  a.out_first = phase;
  a.out_step = stride;
  a.classes = 1;
  return a;
}

bool same_kind(const Axis& a, const Axis& b) {
  const bool in_place = a.count == 1 && a.start == 0;
  return a.count == b.count && a.out == b.out && in_place == (b.count == 1 && b.start == 0);
}

void add_kind(PhaseKinds* kinds, const Axis& axis) {
  if (axis.out <= 0) return;
  for (int i = 0; i < kinds->n; i++)
    if (same_kind(kinds->axis[i], axis)) return;
  if (kinds->n < PhaseKinds::kMost) kinds->axis[kinds->n++] = axis;
}

// Whether one of the phases [begin, end) has no taps: exact for the kernels that there are, else true.
bool lacks_taps(int kernel, int stride, int dilation, int pad, int in, int begin, int end) {
  if (kernel > 16 || end - begin > kernel) return true;  // a kernel of k taps has taps in k phases at most
  for (int phase = begin; phase < end; phase++)
    if (gradient_axis(kernel, stride, dilation, pad, in, phase).count == 0) return true;
  return false;
}

}  // namespace

Axis forward_axis(int kernel, int stride, int dilation, int pad, int out) {
  Axis a = {kernel, 0, 1, -pad, dilation, stride, out, 0, 1, 1};
  share_phases(&a);
  return a;
}

Axis gradient_axis(int kernel, int stride, int dilation, int pad, int in, int phase) {
  int first = 0;
  while (first < kernel && (phase + pad - first * dilation) % stride != 0) first++;
  return phase_axis(kernel, stride, dilation, pad, in, phase, first);
}

PhaseKinds phase_kinds(int kernel, int stride, int dilation, int pad, int in) {
  PhaseKinds kinds = {};
  const int tap_step = stride / gcd(stride, dilation), first_taps = kernel < tap_step ? kernel : tap_step;
  for (int first = 0; first < first_taps; first++) {
    const int64_t phase = ((static_cast<int64_t>(first) * dilation - pad) % stride + stride) % stride;
    add_kind(&kinds, phase_axis(kernel, stride, dilation, pad, in, static_cast<int>(phase), first));
  }
  if (stride == first_taps) return kinds;
  // Phases 0 .. more have one position more than those behind them.
  const int phases = stride < in ? stride : in, more = (in - 1) % stride;
  if (lacks_taps(kernel, stride, dilation, pad, in, 0, more < phases ? more + 1 : phases))
    add_kind(&kinds, phase_axis(kernel, stride, dilation, pad, in, 0, kernel));
  if (more + 1 < phases && lacks_taps(kernel, stride, dilation, pad, in, more + 1, phases))
    add_kind(&kinds, phase_axis(kernel, stride, dilation, pad, in, more + 1, kernel));
  return kinds;
}

void share_phases(Axis* a) {
  const int phases = a->step / gcd(a->step, a->delta < 0 ? -a->delta : a->delta);
  a->classes = phases < a->count ? phases : a->count;
  if (a->classes < 1) a->classes = 1;
}

void separate_phases(Axis* a) {
  a->classes = a->count > 1 ? a->count : 1;
}

PackLayout pack_layout(const Axis& h, const Axis& w, int64_t rows, int64_t columns, int64_t lanes) {
  PackLayout p;
  p.rows = static_cast<int>(rows);
  p.columns = static_cast<int>(columns);
  p.class_rows = static_cast<int>(rows) + h.max_shift();
  p.pitch = (columns + w.max_shift()) * lanes;
  p.column_class = p.pitch * p.class_rows * h.classes;
  p.channel = round_up(p.column_class * w.classes, 16);
  // Channels a multiple of 4 KB apart would fall into the same cache sets.
  if (p.channel % 1024 == 0) p.channel += 16;
  return p;
}

}  // namespace edgecl::plan
