// Softmax over the width, its logarithm, and their gradients: scalar reference.
// Never here: the loss over classes (loss.cpp).
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// Calls f(first element) for each row of W elements, `lanes` apart, of this part. Work is split by rows of the map.
template <class F>
void for_rows(const Tensor& t, int part, int n_parts, F f) {
  const Share rows = share_of(static_cast<int64_t>(t.groups) * t.channels * t.height, part, n_parts);
  for (int64_t r = rows.begin; r < rows.end; r++)
    for (int64_t l = 0; l < t.lanes; l++) f(r * t.width * t.lanes + l);
}

}  // namespace

void softmax_forward(const SoftmaxForwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.x.lanes, width = a.x.width;
  for_rows(a.x, part, n_parts, [&](int64_t first) {
    const float* x = a.x.data + first;
    float* y = a.y.data + first;
    float most[kVirtualLanes], sum[kVirtualLanes] = {};
    for (int64_t i = 0; i < kVirtualLanes; i++) most[i] = -__builtin_inff();
    for (int64_t w = 0; w < width; w++) most[w % kVirtualLanes] = larger(x[w * lanes], most[w % kVirtualLanes]);
    for (int s = kVirtualLanes / 2; s; s /= 2)
      for (int i = 0; i < s; i++) most[i] = larger(most[i + s], most[i]);
    for (int64_t w = 0; w < width; w++) {
      const float e = exp_scalar(x[w * lanes] - most[0]);
      if (!a.logarithm) y[w * lanes] = e;
      sum[w % kVirtualLanes] = sum[w % kVirtualLanes] + e;
    }
    const float total = tree(sum), logarithm = log_scalar(total);
    for (int64_t w = 0; w < width; w++)
      y[w * lanes] = a.logarithm ? (x[w * lanes] - most[0]) - logarithm : y[w * lanes] / total;
  });
}

void softmax_backward(const SoftmaxBackwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.y.lanes, width = a.y.width;
  for_rows(a.y, part, n_parts, [&](int64_t first) {
    const float *y = a.y.data + first, *dy = a.dy.data + first;
    float* dx = a.dx.data + first;
    float sum[kVirtualLanes] = {};
    for (int64_t w = 0; w < width; w++) {
      float& acc = sum[w % kVirtualLanes];
      acc = a.logarithm ? acc + dy[w * lanes] : fused(dy[w * lanes], y[w * lanes], acc);
    }
    const float total = tree(sum);
    for (int64_t w = 0; w < width; w++) {
      const int64_t i = w * lanes;
      const float r = a.logarithm ? fused(-exp_scalar(y[i]), total, dy[i]) : y[i] * (dy[i] - total);
      dx[i] = a.accumulate ? dx[i] + r : r;
    }
  });
}

}  // namespace edgecl::reference
