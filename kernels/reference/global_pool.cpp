// Global average pooling and its gradient: scalar reference.
// Never here: pooling over windows (pool.cpp).
#include "kernels/reference/common.h"

namespace edgecl::reference {

void global_average_pool_forward(const GlobalPoolArgs& a, int part, int n_parts, void*) {
  const int64_t positions = static_cast<int64_t>(a.x.height) * a.x.width, lanes = a.x.lanes;
  const Share planes = share_of(static_cast<int64_t>(a.x.groups) * a.x.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++)
    for (int64_t l = 0; l < lanes; l++) {
      float sum = 0.0f;
      for (int64_t p = 0; p < positions; p++) sum = sum + a.x.data[(gc * positions + p) * lanes + l];
      a.y.data[gc * lanes + l] = sum / static_cast<float>(positions);
    }
}

void global_average_pool_backward(const GlobalPoolBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t positions = static_cast<int64_t>(a.dx.height) * a.dx.width, lanes = a.dx.lanes;
  const Share planes = share_of(static_cast<int64_t>(a.dx.groups) * a.dx.channels, part, n_parts);
  for (int64_t gc = planes.begin; gc < planes.end; gc++)
    for (int64_t p = 0; p < positions; p++)
      for (int64_t l = 0; l < lanes; l++) {
        const float d = a.dy.data[gc * lanes + l] / static_cast<float>(positions);
        float& dx = a.dx.data[(gc * positions + p) * lanes + l];
        dx = a.accumulate ? dx + d : d;
      }
}

}  // namespace edgecl::reference
