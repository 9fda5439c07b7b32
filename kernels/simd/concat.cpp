// Concatenation along channels and its gradient: copies of whole planes.
// Never here: concatenation along other axes (the exporter rewrites it).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// The channels [begin, end) of input k, which begins at channel `first` of the whole, that lie in this part's share.
EDGECL_INLINE void clip_to_share(int64_t first, int64_t channels, int64_t* begin, int64_t* end) {
  *begin = *begin > first ? *begin - first : 0;
  *end = *end - first < channels ? *end - first : channels;
}

}  // namespace

void concat_forward(const ConcatArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.y.plane();
  int64_t first = 0;
  for (int k = 0; k < a.n_inputs; first += a.inputs[k].channels, k++) {
    const Tensor& x = a.inputs[k];
    int64_t begin, end;
    share(a.y.channels, part, n_parts, &begin, &end);
    clip_to_share(first, x.channels, &begin, &end);
    if (begin >= end) continue;
    for (int64_t g = 0; g < a.y.groups; g++)
      memcpy(a.y.data + (g * a.y.channels + first + begin) * plane, x.data + (g * x.channels + begin) * plane,
             static_cast<size_t>((end - begin) * plane) * sizeof(float));
  }
}

void concat_backward(const ConcatBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.dy.plane();
  int64_t first = 0;
  for (int k = 0; k < a.n_inputs; first += a.dinputs[k].channels, k++) {
    const Tensor& dx = a.dinputs[k];
    int64_t begin, end;
    share(a.dy.channels, part, n_parts, &begin, &end);
    clip_to_share(first, dx.channels, &begin, &end);
    if (!dx.data || begin >= end) continue;
    for (int64_t g = 0; g < a.dy.groups; g++) {
      float* to = dx.data + (g * dx.channels + begin) * plane;
      const float* from = a.dy.data + (g * a.dy.channels + first + begin) * plane;
      const int64_t n = (end - begin) * plane;
      if (a.accumulate[k])
        store_flat(to, 0, n, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(to + i) + vload(from + i); });
      else
        memcpy(to, from, static_cast<size_t>(n) * sizeof(float));
    }
  }
}

}  // namespace edgecl::EDGECL_LEVEL
