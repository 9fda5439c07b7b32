// Group normalisation (layer normalisation is one group) with fused activation, and its gradients: scalar reference.
// Never here: statistics over the batch; every row stands alone, so its result does not depend on the batch around it.
#include "kernels/reference/common.h"

namespace edgecl::reference {

// Per (row, channel) sums run over the positions p = h * W + w: position p goes to virtual lane p % 16, then the tree.
// Per (row, group of channels) sums go on in the same 16 lanes over the group's channels, in order, before the tree.

void group_norm_forward(const GroupNormForwardArgs& a, int part, int n_parts, void*) {
  const int64_t lanes = a.x.lanes, positions = static_cast<int64_t>(a.x.height) * a.x.width,
                per_group = a.x.channels / a.n_groups;
  const float n = static_cast<float>(per_group * positions);
  const Share items = share_of(static_cast<int64_t>(a.n_groups) * a.x.groups, part, n_parts);
  for (int64_t item = items.begin; item < items.end; item++) {
    const int64_t k = item / a.x.groups, g = item % a.x.groups;
    for (int64_t l = 0; l < lanes; l++) {
      const float* x = a.x.data + (g * a.x.channels + k * per_group) * positions * lanes + l;
      float* y = a.y.data + (x - a.x.data);
      float sum[kVirtualLanes] = {}, squares[kVirtualLanes] = {};
      for (int64_t c = 0; c < per_group; c++)
        for (int64_t p = 0; p < positions; p++) {
          float& acc = sum[p % kVirtualLanes];
          acc = acc + x[(c * positions + p) * lanes];
        }
      const float mean = tree(sum) / n;
      for (int64_t c = 0; c < per_group; c++)
        for (int64_t p = 0; p < positions; p++) {
          float& acc = squares[p % kVirtualLanes];
          const float d = x[(c * positions + p) * lanes] - mean;
          acc = fused(d, d, acc);
        }
      const float rstd = 1.0f / square_root(tree(squares) / n + a.eps);
      a.mean[item * lanes + l] = mean;
      a.rstd[item * lanes + l] = rstd;
      for (int64_t c = 0; c < per_group; c++) {
        const float scale = a.gamma[k * per_group + c] * rstd;
        const float shift = fused(-mean, scale, a.beta[k * per_group + c]);
        for (int64_t p = 0; p < positions; p++) {
          const int64_t i = (c * positions + p) * lanes;
          y[i] = activate(a.activation, fused(x[i], scale, shift));
        }
      }
    }
  }
}

// Wu & He 2018, differentiated. With S0 = sum over positions of dz and S1 = sum of dz * (x - mean) per (row, channel):
//   dbeta[c] = sum over rows of S0,  dgamma[c] = sum over rows of S1 * rstd,
//   t0 = sum over the group's channels of gamma * S0,  t1 = the same of gamma * (S1 * rstd),
//   dx = (gamma * rstd) * dz - rstd * t0 / n - (x - mean) * rstd^2 * t1 / n.
void group_norm_backward(const GroupNormBackwardArgs& a, int part, int n_parts, void* scratch) {
  const int64_t lanes = a.dy.lanes, groups = a.dy.groups, channels = a.dy.channels, per_group = channels / a.n_groups;
  const int64_t positions = static_cast<int64_t>(a.dy.height) * a.dy.width, rows = groups * lanes;
  const float n = static_cast<float>(per_group * positions);
  float* t0 = static_cast<float*>(scratch);
  float* t1 = t0 + rows;
  const auto dz = [&](int64_t i) {
    return through_activation(a.activation, a.activation.kind == Activation::kNone ? 0.0f : a.y.data[i], a.dy.data[i]);
  };
  const Share shares = share_of(a.n_groups, part, n_parts);
  for (int64_t k = shares.begin; k < shares.end; k++) {
    for (int64_t r = 0; r < 2 * rows; r++) t0[r] = 0.0f;
    for (int64_t c = k * per_group; c < (k + 1) * per_group; c++) {
      float dbeta = 0.0f, dgamma = 0.0f;
      for (int64_t r = 0; r < rows; r++) {
        const int64_t g = r / lanes, l = r % lanes;
        const float mean = a.mean[k * rows + r], rstd = a.rstd[k * rows + r];
        float s0[kVirtualLanes] = {}, s1[kVirtualLanes] = {};
        for (int64_t p = 0; p < positions; p++) {
          const int64_t i = ((g * channels + c) * positions + p) * lanes + l;
          const int lane = static_cast<int>(p % kVirtualLanes);
          s0[lane] = s0[lane] + dz(i);
          s1[lane] = fused(dz(i), a.x.data[i] - mean, s1[lane]);
        }
        const float sum0 = tree(s0), sum1 = tree(s1) * rstd;
        dbeta = dbeta + sum0;
        dgamma = dgamma + sum1;
        t0[r] = fused(a.gamma[c], sum0, t0[r]);
        t1[r] = fused(a.gamma[c], sum1, t1[r]);
      }
      if (a.dbeta) a.dbeta[c] = dbeta;
      if (a.dgamma) a.dgamma[c] = dgamma;
    }
    if (!a.dx.data) continue;
    for (int64_t c = k * per_group; c < (k + 1) * per_group; c++)
      for (int64_t r = 0; r < rows; r++) {
        const int64_t g = r / lanes, l = r % lanes;
        const float mean = a.mean[k * rows + r], rstd = a.rstd[k * rows + r];
        const float scale = a.gamma[c] * rstd;
        const float slope = -(rstd * (rstd * (t1[r] / n)));
        const float shift = -(rstd * (t0[r] / n));
        for (int64_t p = 0; p < positions; p++) {
          const int64_t i = ((g * channels + c) * positions + p) * lanes + l;
          const float result = fused(dz(i), scale, fused(a.x.data[i] - mean, slope, shift));
          a.dx.data[i] = a.accumulate_dx ? a.dx.data[i] + result : result;
        }
      }
  }
}

}  // namespace edgecl::reference
