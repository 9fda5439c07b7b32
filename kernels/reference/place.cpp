// Boxes put into a grid, and the gradient: scalar reference.
// Never here: which operators of a source become boxes (the exporter).
#include "kernels/reference/common.h"
#include "kernels/reference/view.h"

namespace edgecl::reference {
namespace {

int64_t elements(const Tensor& t) {
  return static_cast<int64_t>(t.channels) * t.height * t.width;
}

// Calls f(element of input i, element of the grid).
template <class F>
void for_box(const int32_t* boxes, int i, F f) {
  const int32_t *begin = boxes + (1 + 2 * i) * kViewRank, *size = begin + kViewRank;
  int64_t stride[kViewRank], offset = 0, step = 1;
  for (int k = kViewRank - 1; k >= 0; k--) {
    stride[k] = step;
    offset += begin[k] * step;
    step *= boxes[k];
  }
  for_view(size, stride, offset, f);
}

}  // namespace

void place_forward(const PlaceForwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.y.lanes, whole = elements(a.y);
  const Share s = share_of(whole, part, n_parts);
  for (int64_t g = 0; g < a.y.groups; g++) {
    for (int64_t i = s.begin * lanes; i < s.end * lanes; i++) a.y.data[g * whole * lanes + i] = a.fill;
    for (int i = 0; i < a.n_inputs; i++) {
      const Tensor& x = a.inputs[i];
      for_box(a.boxes, i, [&](int64_t o, int64_t at) {
        if (at < s.begin || at >= s.end) return;
        for (int64_t l = 0; l < lanes; l++)
          a.y.data[(g * whole + at) * lanes + l] = x.data[(g * elements(x) + o) * lanes + l];
      });
    }
  }
}

// Each part does its share of every input.
void place_backward(const PlaceBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.dy.lanes, whole = elements(a.dy);
  for (int i = 0; i < a.n_inputs; i++) {
    const Tensor& dx = a.dinputs[i];
    if (!dx.data) continue;
    const Share s = share_of(elements(dx), part, n_parts);
    for (int64_t g = 0; g < a.dy.groups; g++)
      for_box(a.boxes, i, [&](int64_t o, int64_t at) {
        if (o < s.begin || o >= s.end) return;
        for (int64_t l = 0; l < lanes; l++) {
          const float d = a.dy.data[(g * whole + at) * lanes + l];
          float& to = dx.data[(g * elements(dx) + o) * lanes + l];
          to = a.accumulate[i] ? to + d : d;
        }
      });
  }
}

}  // namespace edgecl::reference
