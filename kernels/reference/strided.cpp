// A view of a row's elements copied, and its gradient: scalar reference.
// Never here: which operators of a source become views (the exporter).
#include "kernels/reference/common.h"
#include "kernels/reference/view.h"

namespace edgecl::reference {
namespace {

struct Strides {
  int64_t stride[kViewRank];
  explicit Strides(const int32_t* view) {
    for (int k = 0; k < kViewRank; k++) stride[k] = view[kViewRank + k];
  }
};
int64_t elements(const Tensor& t) {
  return static_cast<int64_t>(t.channels) * t.height * t.width;
}

}  // namespace

void strided_forward(const StridedForwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.x.lanes, from = elements(a.x), to = elements(a.y);
  const Share s = share_of(to, part, n_parts);
  for (int64_t g = 0; g < a.x.groups; g++)
    for_view(a.view, Strides(a.view).stride, a.offset, [&](int64_t o, int64_t at) {
      if (o < s.begin || o >= s.end) return;
      for (int64_t l = 0; l < lanes; l++) a.y.data[(g * to + o) * lanes + l] = a.x.data[(g * from + at) * lanes + l];
    });
}

void strided_backward(const StridedBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.dx.lanes, from = elements(a.dx), to = elements(a.dy);
  const Share s = share_of(from, part, n_parts);
  for (int64_t g = 0; g < a.dx.groups; g++) {
    for (int64_t i = s.begin * lanes; !a.accumulate && i < s.end * lanes; i++) a.dx.data[g * from * lanes + i] = 0.0f;
    for_view(a.view, Strides(a.view).stride, a.offset, [&](int64_t o, int64_t at) {
      if (at < s.begin || at >= s.end) return;
      for (int64_t l = 0; l < lanes; l++) {
        float& dx = a.dx.data[(g * from + at) * lanes + l];
        dx = dx + a.dy.data[(g * to + o) * lanes + l];
      }
    });
  }
}

}  // namespace edgecl::reference
