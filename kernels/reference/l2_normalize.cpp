// L2 normalisation over the channels of each position, and its input gradient: scalar reference.
// Never here: sums over positions or over the batch; every row stands alone.
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// Sum of a * b over the channels of one position: channel c in virtual lane c % 16, then the tree.
float sum_of_products(const float* a, const float* b, int64_t channels, int64_t plane) {
  float sum[kVirtualLanes] = {};
  for (int64_t c = 0; c < channels; c++) {
    float& acc = sum[c % kVirtualLanes];
    acc = fused(a[c * plane], b[c * plane], acc);
  }
  return tree(sum);
}

}  // namespace

void l2_normalize_forward(const L2NormalizeForwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane(), channels = a.x.channels;
  const Share columns = share_of(a.x.groups * plane, part, n_parts);
  for (int64_t k = columns.begin; k < columns.end; k++) {
    const int64_t first = k / plane * channels * plane + k % plane;
    const float* x = a.x.data + first;
    const float norm = square_root(sum_of_products(x, x, channels, plane));
    const float r = 1.0f / larger(a.eps, norm);
    for (int64_t c = 0; c < channels; c++) a.y.data[first + c * plane] = x[c * plane] * r;
  }
}

// y = x / max(|x|, eps) differentiated, with the norm as the larger of two equals (as PyTorch's clamp_min has it): the
// part of dy along y is lost, dx = (dy - y * (y . dy)) / |x|; below eps the denominator is a constant.
void l2_normalize_backward(const L2NormalizeBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane(), channels = a.x.channels;
  const Share columns = share_of(a.x.groups * plane, part, n_parts);
  for (int64_t k = columns.begin; k < columns.end; k++) {
    const int64_t first = k / plane * channels * plane + k % plane;
    const float *x = a.x.data + first, *dy = a.dy.data + first;
    float* dx = a.dx.data + first;
    const float norm = square_root(sum_of_products(x, x, channels, plane));
    const float r = 1.0f / larger(a.eps, norm);
    const float along = a.eps > norm ? 0.0f : -(sum_of_products(dy, x, channels, plane) * r);
    for (int64_t c = 0; c < channels; c++) {
      const int64_t i = c * plane;
      const float result = fused(x[i] * r, along, dy[i]) * r;
      dx[i] = a.accumulate ? dx[i] + result : result;
    }
  }
}

}  // namespace edgecl::reference
