// Layer normalisation over the channels of each position, with or without the mean, and its gradients: scalar reference.
// Never here: statistics over positions (group_norm.cpp) or over the batch.
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// A column: the channels of one position of one batch row. Calls f(first element, column) for those of this part.
template <class F>
void for_columns(const Tensor& t, int part, int n_parts, F f) {
  const int64_t plane = t.plane();
  const Share columns = share_of(t.groups * plane, part, n_parts);
  for (int64_t k = columns.begin; k < columns.end; k++) f(k / plane * t.channels * plane + k % plane, k);
}

}  // namespace

// Ba, Kiros & Hinton 2016; without the mean Zhang & Sennrich 2019.
void layer_norm_forward(const LayerNormForwardArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane(), channels = a.x.channels;
  const float n = static_cast<float>(channels);
  for_columns(a.x, part, n_parts, [&](int64_t first, int64_t column) {
    const float* x = a.x.data + first;
    float* y = a.y.data + first;
    float mean = 0.0f, sum[kVirtualLanes] = {}, squares[kVirtualLanes] = {};
    if (a.centred) {
      for (int64_t c = 0; c < channels; c++) sum[c % kVirtualLanes] = sum[c % kVirtualLanes] + x[c * plane];
      mean = tree(sum) / n;
    }
    for (int64_t c = 0; c < channels; c++) {
      const float d = x[c * plane] - mean;
      float& acc = squares[c % kVirtualLanes];
      acc = fused(d, d, acc);
    }
    const float rstd = 1.0f / square_root(tree(squares) / n + a.eps);
    if (a.rstd) {
      if (a.centred) a.mean[column] = mean;
      a.rstd[column] = rstd;
    }
    for (int64_t c = 0; c < channels; c++) {
      const float normal = (x[c * plane] - mean) * rstd;
      float& to = y[c * plane];
      if (a.gamma && a.beta)
        to = fused(normal, a.gamma[c], a.beta[c]);
      else if (a.gamma)
        to = normal * a.gamma[c];
      else
        to = a.beta ? normal + a.beta[c] : normal;
    }
  });
}

void layer_norm_backward_data(const LayerNormBackwardDataArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane(), channels = a.x.channels;
  const float n = static_cast<float>(channels);
  for_columns(a.x, part, n_parts, [&](int64_t first, int64_t column) {
    const float *x = a.x.data + first, *dy = a.dy.data + first;
    float* dx = a.dx.data + first;
    const float mean = a.centred ? a.mean[column] : 0.0f, rstd = a.rstd[column];
    const auto t = [&](int64_t c) { return a.gamma ? dy[c * plane] * a.gamma[c] : dy[c * plane]; };
    const auto normal = [&](int64_t c) { return (x[c * plane] - mean) * rstd; };
    float sum[kVirtualLanes] = {}, along[kVirtualLanes] = {};
    for (int64_t c = 0; c < channels; c++) {
      const int lane = static_cast<int>(c % kVirtualLanes);
      sum[lane] = sum[lane] + t(c);
      along[lane] = fused(t(c), normal(c), along[lane]);
    }
    const float m = a.centred ? tree(sum) / n : 0.0f, v = -(tree(along) / n);
    for (int64_t c = 0; c < channels; c++) {
      const float result = fused(v, normal(c), t(c) - m) * rstd;
      float& to = dx[c * plane];
      to = a.accumulate ? to + result : result;
    }
  });
}

void layer_norm_backward_weight(const LayerNormBackwardWeightArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane(), channels = a.x.channels;
  const Share own = share_of(channels, part, n_parts);
  for (int64_t c = own.begin; c < own.end; c++) {
    float gamma[kVirtualLanes] = {}, beta[kVirtualLanes] = {};
    for (int64_t g = 0; g < a.x.groups; g++) {
      const float *x = a.x.data + (g * channels + c) * plane, *dy = a.dy.data + (g * channels + c) * plane;
      for (int64_t k = 0; k < plane; k++) {
        const int lane = static_cast<int>(k % kVirtualLanes);
        const float mean = a.centred ? a.mean[g * plane + k] : 0.0f;
        gamma[lane] = fused(dy[k], (x[k] - mean) * a.rstd[g * plane + k], gamma[lane]);
        beta[lane] = beta[lane] + dy[k];
      }
    }
    if (a.dgamma) a.dgamma[c] = tree(gamma);
    if (a.dbeta) a.dbeta[c] = tree(beta);
  }
}

}  // namespace edgecl::reference
