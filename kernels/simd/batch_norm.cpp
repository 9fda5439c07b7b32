// Batch normalisation with fused residual addition and activation, and its gradients. Memory-bound: a channel's planes
// are read from far memory once and stay in cache for the later passes (channel by channel, over all groups of the
// batch).
// Never here: running statistics (the caller blends them from the batch statistics written here).
#include "kernels/simd/pointwise.h"
#include "kernels/simd/tree.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Channels whose reductions run side by side, to hide the latency of the one addition chain that a virtual lane is.
constexpr int kSide = 2;
// What a loop over the planes of a channel costs dwarfs a call, so there is one function of each kind of loop.
#define EDGECL_ONE_COPY __attribute__((noinline))

// Neighbouring channels from c on. Where an odd one is left over it stands in for its neighbour too, and the second
// results are left alone.
struct Side {
  int64_t c;
  int count;

  EDGECL_ALWAYS_INLINE int64_t channel(int j) const { return j < count ? c + j : c; }
};

// The first n lanes.
EDGECL_INLINE auto first_lanes(int64_t n) {
  ivec lane;
  for (int i = 0; i < kVec; i++) lane[i] = i;
  return lane < (ivec){} + static_cast<int32_t>(n < kVec ? n : kVec);
}

// kSums reductions over each channel: fold(j, offset, acc) folds the kVec floats of channel j at that flat offset into
// the vectors acc[0 .. kSums - 1].
template <int kSums, class Fold>
EDGECL_INLINE void reduce_channels(const Tensor& t, const Side& side, float (&sums)[kSums][kSide], Fold fold) {
  const int64_t plane = t.plane(), groups = t.groups, channels = t.channels;
  vec lanes[kSide][kParts][kSums] = {};
  for (int64_t g = 0; g < groups; g++) {
    int64_t base[kSide];
    for (int j = 0; j < kSide; j++) base[j] = (g * channels + side.channel(j)) * plane;
    int64_t i = 0;
    for (; i + kVirtualLanes <= plane; i += kVirtualLanes) EDGECL_UNROLL
    for (int j = 0; j < kSide; j++) EDGECL_UNROLL
    for (int p = 0; p < kParts; p++) fold(j, base[j] + i + p * kVec, lanes[j][p]);
    if (i == plane) continue;
    EDGECL_UNROLL
    for (int p = 0; p < kParts; p++, i += kVec) {  // short last chunk: the lanes beyond it keep their value
      const auto kept = first_lanes(plane - i);
      if (i >= plane) break;
      EDGECL_UNROLL
      for (int j = 0; j < kSide; j++) {
        vec next[kSums];
        EDGECL_UNROLL
        for (int s = 0; s < kSums; s++) next[s] = lanes[j][p][s];
        fold(j, base[j] + i, next);
        EDGECL_UNROLL
        for (int s = 0; s < kSums; s++) lanes[j][p][s] = kept ? next[s] : lanes[j][p][s];
      }
    }
  }
  EDGECL_UNROLL
  for (int s = 0; s < kSums; s++) EDGECL_UNROLL
  for (int j = 0; j < kSide; j++) {
    vec16 all;
    EDGECL_UNROLL
    for (int p = 0; p < kParts; p++) all.v[p] = lanes[j][p][s];
    sums[s][j] = tree_in_registers(all);
  }
}

EDGECL_ONE_COPY void batch_statistics(const BatchNormForwardArgs& a, const Side& side, float* mean, float* rstd) {
  const float* x = a.x.data;
  const float n = static_cast<float>(a.x.groups * a.x.plane());
  float sum[1][kSide], squares[1][kSide];
  reduce_channels(a.x, side, sum,
                  [&](int, int64_t i, vec(&acc)[1]) EDGECL_INLINE_LAMBDA { acc[0] = acc[0] + vload(x + i); });
  vec centre[kSide];
  for (int j = 0; j < kSide; j++) {
    mean[j] = sum[0][j] / n;
    centre[j] = vset(mean[j]);
  }
  reduce_channels(a.x, side, squares, [&](int j, int64_t i, vec(&acc)[1]) EDGECL_INLINE_LAMBDA {
    const vec d = vload(x + i) - centre[j];
    acc[0] = vfma(d, d, acc[0]);
  });
  for (int j = 0; j < side.count; j++) {
    const float variance = squares[0][j] / n;
    rstd[j] = 1.0f / __builtin_sqrtf(variance + a.eps);
    a.batch_mean[side.c + j] = mean[j];
    a.batch_rstd[side.c + j] = rstd[j];
    a.batch_var_unbiased[side.c + j] = n > 1.0f ? squares[0][j] / (n - 1.0f) : variance;
  }
}

template <Activation kKind, bool kResidual>
EDGECL_ONE_COPY void normalise_channel(const BatchNormForwardArgs& a, int64_t c, float mean, float rstd) {
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

struct ChannelSums {
  float dbeta, dgamma;
};

// What the activation's gradient looks at: source * scale + shift. Where y follows from x alone it is made of x, which
// is read anyway: a quarter of the memory traffic less. Else it is y * 1 + 0.
struct Gate {
  const float* source;
  vec scale, shift, lo, hi;

  EDGECL_ALWAYS_INLINE Gate(const BatchNormBackwardArgs& a, int64_t c) {
    const bool from_x = a.beta && !a.frozen;
    const float factor = from_x ? a.gamma[c] * a.rstd[c] : 1.0f;
    source = from_x ? a.x.data : a.y.data;
    scale = vset(factor);
    shift = vset(from_x ? sfma(-a.mean[c], factor, a.beta[c]) : 0.0f);
    lo = vset(a.activation.lo);
    hi = vset(a.activation.hi);
  }
  template <Activation kKind>
  EDGECL_ALWAYS_INLINE vec through(int64_t i, vec dy) const {
    if constexpr (kKind == Activation::kNone) return dy;
    return through_activation<kKind>(vfma(vload(source + i), scale, shift), dy, lo, hi);
  }
};

template <Activation kKind>
EDGECL_ONE_COPY void gradient_sums(const BatchNormBackwardArgs& a, const Side& side, ChannelSums* out) {
  const float *x = a.x.data, *dy = a.dy.data;
  const Gate gate[kSide] = {Gate(a, side.channel(0)), Gate(a, side.channel(1))};
  vec centre[kSide];
  for (int j = 0; j < kSide; j++) centre[j] = vset(a.mean[side.channel(j)]);
  float sums[2][kSide];
  reduce_channels(a.dy, side, sums, [&](int j, int64_t i, vec(&acc)[2]) EDGECL_INLINE_LAMBDA {
    const vec d = gate[j].template through<kKind>(i, vload(dy + i));
    acc[0] = acc[0] + d;
    acc[1] = vfma(d, vload(x + i) - centre[j], acc[1]);
  });
  for (int j = 0; j < side.count; j++) out[j] = {sums[0][j], sums[1][j] * a.rstd[side.c + j]};
}

// dx (kFrozen: where it is wanted) and, with kResidual, the residual's gradient of one channel where it is wanted.
// Every element is read before it is written, so dx or dresidual may be dy itself.
template <Activation kKind, bool kFrozen, bool kResidual>
EDGECL_ONE_COPY void input_gradients(const BatchNormBackwardArgs& a, int64_t c, ChannelSums sums) {
  const float n = static_cast<float>(a.dy.groups * a.dy.plane());
  const float rstd = a.rstd[c];
  const vec scale = vset(a.gamma[c] * rstd), centre = vset(a.mean[c]);
  const vec slope = vset(-(rstd * (sums.dgamma / n))), shift = vset(-(sums.dbeta / n));
  const Gate gate(a, c);
  const bool accumulate_dx = a.dx.data && a.accumulate_dx, accumulate_residual = a.accumulate_residual;
  const int64_t plane = a.dy.plane(), groups = a.dy.groups, channels = a.dy.channels;
  for (int64_t g = 0; g < groups; g++) {
    const int64_t base = (g * channels + c) * plane;
    const float *x = kFrozen ? nullptr : a.x.data + base, *dy = a.dy.data + base;
    float *dx = a.dx.data ? a.dx.data + base : nullptr,
          *dresidual = kResidual && a.dresidual ? a.dresidual + base : nullptr;
    for_flat(0, plane, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA {
      const vec dz = gate.template through<kKind>(base + i, vload(dy + i));
      vec to_x;
      if constexpr (kFrozen)
        to_x = dz * scale;
      else
        to_x = (dz + vfma(vload(x + i) - centre, slope, shift)) * scale;
      if (accumulate_dx) to_x = vload(dx + i) + to_x;
      if (kResidual && dresidual) store(dresidual + i, accumulate_residual ? vload(dresidual + i) + dz : dz);
      if (!kFrozen || dx) store(dx + i, to_x);
    });
  }
}

template <Activation kKind>
EDGECL_INLINE void backward_channels(const BatchNormBackwardArgs& a, const Side& side) {
  const bool dx_needs_sums = a.dx.data && !a.frozen;
  ChannelSums sums[kSide] = {};
  if (a.dgamma || a.dbeta || dx_needs_sums) gradient_sums<kKind>(a, side, sums);
  for (int j = 0; j < side.count; j++) {
    const int64_t c = side.c + j;
    if (a.dbeta) a.dbeta[c] = sums[j].dbeta;
    if (a.dgamma) a.dgamma[c] = sums[j].dgamma;
    if (dx_needs_sums && a.dresidual)
      input_gradients<kKind, false, true>(a, c, sums[j]);
    else if (dx_needs_sums)
      input_gradients<kKind, false, false>(a, c, sums[j]);
    else if (a.dx.data || a.dresidual)
      input_gradients<kKind, true, true>(a, c, sums[j]);
  }
}

EDGECL_INLINE Side side_at(int64_t c, int64_t end) {
  return {c, c + kSide <= end ? kSide : 1};
}

}  // namespace

void batch_norm_forward(const BatchNormForwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  share(a.x.channels, part, n_parts, &begin, &end);
  typedef void (*Normalise)(const BatchNormForwardArgs&, int64_t, float, float);
  Normalise normalise = nullptr;
  with_fused_activation(a.activation.kind, [&](auto tag) {
    constexpr Activation kKind = decltype(tag)::kind;
    normalise = a.residual ? normalise_channel<kKind, true> : normalise_channel<kKind, false>;
  });
  for (int64_t c = begin; c < end; c += kSide) {
    const Side side = side_at(c, end);
    float mean[kSide], rstd[kSide];
    if (!a.mean) batch_statistics(a, side, mean, rstd);
    for (int j = 0; j < side.count; j++)
      normalise(a, c + j, a.mean ? a.mean[c + j] : mean[j], a.mean ? a.rstd[c + j] : rstd[j]);
  }
}

// The formula stands beside the scalar reference (kernels/reference/batch_norm.cpp).
void batch_norm_backward(const BatchNormBackwardArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  share(a.dy.channels, part, n_parts, &begin, &end);
  with_fused_activation(a.activation.kind, [&](auto tag) {
    constexpr Activation kKind = decltype(tag)::kind;
    for (int64_t c = begin; c < end; c += kSide) backward_channels<kKind>(a, side_at(c, end));
  });
}

}  // namespace edgecl::EDGECL_LEVEL
