// A rectifier with a slope a channel, and its gradients: scalar reference. He et al. 2015.
// Never here: one slope for all channels (activation.cpp).
#include "kernels/reference/common.h"

namespace edgecl::reference {

void prelu_forward(const PreluForwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane();
  const Share planes = share_of(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++)
    for (int64_t i = gc * plane; i < (gc + 1) * plane; i++) {
      const float x = a.x.data[i];
      a.y.data[i] = x > 0.0f ? x : a.slope[gc % a.x.channels] * x;
    }
}

void prelu_backward(const PreluBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.dy.plane(), channels = a.dy.channels;
  const Share share = share_of(channels, part, n_parts);
  for (int64_t c = share.begin; c < share.end; c++) {
    float sum[kVirtualLanes] = {};
    for (int64_t g = 0; g < a.dy.groups; g++)
      for (int64_t i = 0; i < plane; i++) {
        const int64_t at = (g * channels + c) * plane + i;
        const float x = a.x.data[at], dy = a.dy.data[at];
        float& acc = sum[i % kVirtualLanes];
        acc = fused(dy, x > 0.0f ? 0.0f : x, acc);
        if (!a.dx.data) continue;
        const float dx = x > 0.0f ? dy : a.slope[c] * dy;
        a.dx.data[at] = a.accumulate ? a.dx.data[at] + dx : dx;
      }
    if (a.dslope) a.dslope[c] = tree(sum);
  }
}

}  // namespace edgecl::reference
