// Batch normalisation with fused residual addition and activation, and its gradients: scalar reference.
// Never here: running statistics (the caller blends them from the batch statistics written here).
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// Sums term(flat offset) over the channel: every plane is cut into chunks of 16, lane i of each chunk goes to virtual
// lane i. `add` folds one element into its lane.
template <class Add>
float reduce_channel(const Tensor& t, int64_t c, Add add) {
  float lane[kVirtualLanes] = {};
  const int64_t plane = t.plane();
  for (int64_t g = 0; g < t.groups; g++)
    for (int64_t i = 0; i < plane; i++) {
      float& acc = lane[i % kVirtualLanes];
      acc = add((g * t.channels + c) * plane + i, acc);
    }
  return tree(lane);
}

}  // namespace

void batch_norm_forward(const BatchNormForwardArgs& a, int part, int n_parts, void*) {
  const float* x = a.x.data;
  const int64_t plane = a.x.plane();
  const float n = static_cast<float>(a.x.groups * plane);
  const Share channels = share_of(a.x.channels, part, n_parts);
  for (int64_t c = channels.begin; c < channels.end; c++) {
    float mean, rstd;
    if (a.mean) {
      mean = a.mean[c];
      rstd = a.rstd[c];
    } else {
      mean = reduce_channel(a.x, c, [&](int64_t i, float acc) { return acc + x[i]; }) / n;
      const float squares = reduce_channel(a.x, c, [&](int64_t i, float acc) {
        const float d = x[i] - mean;
        return fused(d, d, acc);
      });
      const float variance = squares / n;
      rstd = 1.0f / square_root(variance + a.eps);
      a.batch_mean[c] = mean;
      a.batch_rstd[c] = rstd;
      a.batch_var_unbiased[c] = n > 1.0f ? squares / (n - 1.0f) : variance;
    }
    const float scale = a.gamma[c] * rstd;
    const float shift = fused(-mean, scale, a.beta[c]);
    for (int64_t g = 0; g < a.x.groups; g++)
      for (int64_t i = (g * a.x.channels + c) * plane, end = i + plane; i < end; i++) {
        float z = fused(x[i], scale, shift);
        if (a.residual) z = z + a.residual[i];
        a.y.data[i] = activate(a.activation, z);
      }
  }
}

// With dz = dy through the activation, xhat = (x - mean) * rstd and n values a channel (Ioffe & Szegedy 2015, section
// 3):
//   dbeta = sum dz,  dgamma = sum dz * xhat = rstd * sum dz * (x - mean),
//   dx = gamma * rstd * (dz - dbeta / n - xhat * dgamma / n).
// Always from y: `beta` only saves reading it.
void batch_norm_backward(const BatchNormBackwardArgs& a, int part, int n_parts, void*) {
  const float* x = a.x.data;
  const int64_t plane = a.dy.plane();
  const float n = static_cast<float>(a.dy.groups * plane);
  const auto dz = [&](int64_t i) {
    return through_activation(a.activation, a.activation.kind == Activation::kNone ? 0.0f : a.y.data[i], a.dy.data[i]);
  };
  const Share channels = share_of(a.dy.channels, part, n_parts);
  for (int64_t c = channels.begin; c < channels.end; c++) {
    const float mean = a.mean[c], rstd = a.rstd[c];
    const bool dx_needs_sums = a.dx.data && !a.frozen;
    float dbeta = 0.0f, dgamma = 0.0f;
    if (a.dbeta || dx_needs_sums) dbeta = reduce_channel(a.dy, c, [&](int64_t i, float acc) { return acc + dz(i); });
    if (a.dgamma || dx_needs_sums)
      dgamma = rstd * reduce_channel(a.dy, c, [&](int64_t i, float acc) { return fused(dz(i), x[i] - mean, acc); });
    if (a.dbeta) a.dbeta[c] = dbeta;
    if (a.dgamma) a.dgamma[c] = dgamma;

    const float scale = a.gamma[c] * rstd;
    const float slope = -(rstd * (dgamma / n));
    const float shift = -(dbeta / n);
    for (int64_t g = 0; g < a.dy.groups; g++)
      for (int64_t i = (g * a.dy.channels + c) * plane, end = i + plane; i < end; i++) {
        const float d = dz(i);
        if (a.dx.data) {
          const float r = a.frozen ? d * scale : (d + fused(x[i] - mean, slope, shift)) * scale;
          a.dx.data[i] = a.accumulate_dx ? a.dx.data[i] + r : r;
        }
        if (a.dresidual) a.dresidual[i] = a.accumulate_residual ? a.dresidual[i] + d : d;
      }
  }
}

}  // namespace edgecl::reference
