// Batch normalisation with fused residual addition and activation, and its gradients. Memory-bound: a channel's planes
// are read from far memory once and stay in cache for the later passes (channel by channel, over all groups of the
// batch).
// Never here: running statistics (the caller blends them from the batch statistics written here).
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Channels whose reductions run side by side, to hide the latency of the one addition chain that a virtual lane is.
constexpr int kSide = 2;

// kSums reductions over each of kCount neighbouring channels: fold(j, offset, acc) folds the kVec floats of channel c +
// j at that flat offset into the vectors acc[0 .. kSums - 1].
template <int kCount, int kSums, class Fold>
EDGECL_INLINE void reduce_channels(const Tensor& t, int64_t c, float (&sums)[kCount][kSums], Fold fold) {
  const int64_t plane = t.plane(), groups = t.groups, channels = t.channels;
  vec lanes[kCount][kParts][kSums] = {};
  for (int64_t g = 0; g < groups; g++) {
    const int64_t base = (g * channels + c) * plane;
    int64_t i = 0;
    for (; i + kVirtualLanes <= plane; i += kVirtualLanes)
      for (int j = 0; j < kCount; j++)
        for (int p = 0; p < kParts; p++) fold(j, base + j * plane + i + p * kVec, lanes[j][p]);
    for (int p = 0; i + p * kVec < plane; p++) {  // short last chunk: the lanes beyond it keep their value
      const int64_t rest = plane - i - p * kVec;
      const size_t kept = rest < kVec ? static_cast<size_t>(rest) * sizeof(float) : sizeof(vec);
      for (int j = 0; j < kCount; j++) {
        vec next[kSums];
        for (int s = 0; s < kSums; s++) next[s] = lanes[j][p][s];
        fold(j, base + j * plane + i + p * kVec, next);
        for (int s = 0; s < kSums; s++) memcpy(&lanes[j][p][s], &next[s], kept);
      }
    }
  }
  for (int j = 0; j < kCount; j++)
    for (int s = 0; s < kSums; s++) {
      vec16 all;
      for (int p = 0; p < kParts; p++) all.v[p] = lanes[j][p][s];
      sums[j][s] = tree16(all);
    }
}

template <int kCount>
EDGECL_INLINE void batch_statistics(const BatchNormForwardArgs& a, int64_t c, float* mean, float* rstd) {
  const float* x = a.x.data;
  const float n = static_cast<float>(a.x.groups * a.x.plane());
  float sum[kCount][1], squares[kCount][1];
  reduce_channels(a.x, c, sum,
                  [&](int, int64_t i, vec(&acc)[1]) EDGECL_INLINE_LAMBDA { acc[0] = acc[0] + vload(x + i); });
  vec centre[kCount];
  for (int j = 0; j < kCount; j++) {
    mean[j] = sum[j][0] / n;
    centre[j] = vset(mean[j]);
  }
  reduce_channels(a.x, c, squares, [&](int j, int64_t i, vec(&acc)[1]) EDGECL_INLINE_LAMBDA {
    const vec d = vload(x + i) - centre[j];
    acc[0] = vfma(d, d, acc[0]);
  });
  for (int j = 0; j < kCount; j++) {
    const float variance = squares[j][0] / n;
    rstd[j] = 1.0f / __builtin_sqrtf(variance + a.eps);
    a.batch_mean[c + j] = mean[j];
    a.batch_rstd[c + j] = rstd[j];
    a.batch_var_unbiased[c + j] = n > 1.0f ? squares[j][0] / (n - 1.0f) : variance;
  }
}

template <Activation kKind, bool kResidual>
EDGECL_INLINE void normalise_channel(const BatchNormForwardArgs& a, int64_t c, float mean, float rstd) {
  const float scale = a.gamma[c] * rstd;
  const vec vscale = vset(scale), vshift = vset(sfma(-mean, scale, a.beta[c]));
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  const int64_t plane = a.x.plane();
  for (int64_t g = 0; g < a.x.groups; g++) {
    const int64_t base = (g * a.x.channels + c) * plane;
    const float *x = a.x.data + base, *residual = kResidual ? a.residual + base : nullptr;
    store_flat(a.y.data + base, 0, plane, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      vec z = vfma(vload(x + i), vscale, vshift);
      if constexpr (kResidual) z = z + vload(residual + i);
      return fused_activation<kKind>(z, lo, hi);
    });
  }
}

template <int kCount, Activation kKind, bool kResidual>
EDGECL_INLINE void forward_channels(const BatchNormForwardArgs& a, int64_t c) {
  float mean[kCount], rstd[kCount];
  if (a.mean) {
    for (int j = 0; j < kCount; j++) mean[j] = a.mean[c + j], rstd[j] = a.rstd[c + j];
  } else {
    batch_statistics<kCount>(a, c, mean, rstd);
  }
  for (int j = 0; j < kCount; j++) normalise_channel<kKind, kResidual>(a, c + j, mean[j], rstd[j]);
}

struct ChannelSums {
  float dbeta, dgamma;
};

template <int kCount, Activation kKind>
EDGECL_INLINE void gradient_sums(const BatchNormBackwardArgs& a, int64_t c, bool want_gamma, ChannelSums* out) {
  const float *x = a.x.data, *y = a.y.data, *dy = a.dy.data;
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  const auto dz = [&](int64_t i) EDGECL_INLINE_LAMBDA {
    return through_activation<kKind>(kKind == Activation::kNone ? vzero() : vload(y + i), vload(dy + i), lo, hi);
  };
  if (!want_gamma) {
    float sums[kCount][1];
    reduce_channels(a.dy, c, sums, [&](int, int64_t i, vec(&acc)[1]) EDGECL_INLINE_LAMBDA { acc[0] = acc[0] + dz(i); });
    for (int j = 0; j < kCount; j++) out[j] = {sums[j][0], 0.0f};
    return;
  }
  vec centre[kCount];
  for (int j = 0; j < kCount; j++) centre[j] = vset(a.mean[c + j]);
  float sums[kCount][2];
  reduce_channels(a.dy, c, sums, [&](int j, int64_t i, vec(&acc)[2]) EDGECL_INLINE_LAMBDA {
    const vec d = dz(i);
    acc[0] = acc[0] + d;
    acc[1] = vfma(d, vload(x + i) - centre[j], acc[1]);
  });
  for (int j = 0; j < kCount; j++) out[j] = {sums[j][0], sums[j][1] * a.rstd[c + j]};
}

// dx and the residual's gradient of one channel. Every element is read before it is written, so dx or dresidual may be
// dy itself.
template <Activation kKind, bool kDx, bool kFrozen, bool kResidual>
EDGECL_INLINE void input_gradients(const BatchNormBackwardArgs& a, int64_t c, ChannelSums sums) {
  const float n = static_cast<float>(a.dy.groups * a.dy.plane());
  const float rstd = a.rstd[c];
  const vec scale = vset(a.gamma[c] * rstd), centre = vset(a.mean[c]);
  const vec slope = vset(-(rstd * (sums.dgamma / n))), shift = vset(-(sums.dbeta / n));
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  const bool accumulate_dx = a.accumulate_dx, accumulate_residual = a.accumulate_residual;
  const int64_t plane = a.dy.plane(), groups = a.dy.groups, channels = a.dy.channels;
  for (int64_t g = 0; g < groups; g++) {
    const int64_t base = (g * channels + c) * plane;
    const float *x = kFrozen ? nullptr : a.x.data + base, *y = kKind == Activation::kNone ? nullptr : a.y.data + base;
    const float* dy = a.dy.data + base;
    float *dx = kDx ? a.dx.data + base : nullptr, *dresidual = kResidual ? a.dresidual + base : nullptr;
    for_flat(0, plane, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA {
      const vec dz =
          through_activation<kKind>(kKind == Activation::kNone ? vzero() : vload(y + i), vload(dy + i), lo, hi);
      vec to_x = vzero();
      if constexpr (kDx && kFrozen) to_x = dz * scale;
      if constexpr (kDx && !kFrozen) to_x = (dz + vfma(vload(x + i) - centre, slope, shift)) * scale;
      if (kDx && accumulate_dx) to_x = vload(dx + i) + to_x;
      if constexpr (kResidual) store(dresidual + i, accumulate_residual ? vload(dresidual + i) + dz : dz);
      if constexpr (kDx) store(dx + i, to_x);
    });
  }
}

template <Activation kKind, bool kDx, bool kFrozen>
EDGECL_INLINE void input_gradients(const BatchNormBackwardArgs& a, int64_t c, ChannelSums sums) {
  if (a.dresidual) return input_gradients<kKind, kDx, kFrozen, true>(a, c, sums);
  if (kDx) input_gradients<kKind, kDx, kFrozen, false>(a, c, sums);
}

template <int kCount, Activation kKind>
EDGECL_INLINE void backward_channels(const BatchNormBackwardArgs& a, int64_t c) {
  const bool dx_needs_sums = a.dx.data && !a.frozen;
  ChannelSums sums[kCount] = {};
  if (a.dgamma || a.dbeta || dx_needs_sums) gradient_sums<kCount, kKind>(a, c, a.dgamma || dx_needs_sums, sums);
  for (int j = 0; j < kCount; j++) {
    if (a.dbeta) a.dbeta[c + j] = sums[j].dbeta;
    if (a.dgamma) a.dgamma[c + j] = sums[j].dgamma;
    if (!a.dx.data)
      input_gradients<kKind, false, false>(a, c + j, sums[j]);
    else if (a.frozen)
      input_gradients<kKind, true, true>(a, c + j, sums[j]);
    else
      input_gradients<kKind, true, false>(a, c + j, sums[j]);
  }
}

}  // namespace

size_t batch_norm_forward_scratch_bytes(const BatchNormForwardArgs&) {
  return 0;
}

void batch_norm_forward(const BatchNormForwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  share(a.x.channels, part, n_parts, &begin, &end);
  with_fused_activation(a.activation.kind, [&](auto tag) {
    with_flag(a.residual != nullptr, [&](auto residual) {
      constexpr Activation kKind = decltype(tag)::kind;
      constexpr bool kResidual = decltype(residual)::value;
      int64_t c = begin;
      for (; c + kSide <= end; c += kSide) forward_channels<kSide, kKind, kResidual>(a, c);
      for (; c < end; c++) forward_channels<1, kKind, kResidual>(a, c);
    });
  });
}

size_t batch_norm_backward_scratch_bytes(const BatchNormBackwardArgs&) {
  return 0;
}

// The formula stands beside the scalar reference (kernels/reference/batch_norm.cpp).
void batch_norm_backward(const BatchNormBackwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  share(a.dy.channels, part, n_parts, &begin, &end);
  with_fused_activation(a.activation.kind, [&](auto tag) {
    constexpr Activation kKind = decltype(tag)::kind;
    int64_t c = begin;
    for (; c + kSide <= end; c += kSide) backward_channels<kSide, kKind>(a, c);
    for (; c < end; c++) backward_channels<1, kKind>(a, c);
  });
}

}  // namespace edgecl::EDGECL_LEVEL
