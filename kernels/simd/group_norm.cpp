// Group normalisation (layer normalisation is one group) with fused activation, and its gradients.
// Never here: statistics over the batch; every row stands alone, so its result does not depend on the batch around it.
//
// The 16 virtual lanes of a row are its positions modulo 16, so the lanes of all L rows of a group are 16 * L
// consecutive floats (a `period`): a plane is folded into them period by period with full vectors, whatever L is.
// Built for size (-Os): waits for memory.
#include "kernels/plan/streamed_plan.h"
#include "kernels/simd/periods.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Coefficients of an elementwise pass repeat every `lanes` floats: 16 lanes are one vec16 and need no copies.
EDGECL_INLINE int64_t coefficient_period(int64_t lanes) {
  return lanes == kVirtualLanes ? lanes : kVirtualLanes * lanes;
}

}  // namespace

void group_norm_forward(const GroupNormForwardArgs& a, int part, int n_parts, void* scratch) {
  const int64_t lanes = a.x.lanes, plane = a.x.plane(), per_group = a.x.channels / a.n_groups;
  const int64_t sum_period = kVirtualLanes * lanes, period = coefficient_period(lanes);
  const float n = static_cast<float>(per_group * a.x.height * a.x.width);
  float* sum = static_cast<float*>(scratch);
  float* scale = sum + with_slack(sum_period);
  float* shift = scale + with_slack(sum_period);
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  int64_t begin, end;
  share(static_cast<int64_t>(a.n_groups) * a.x.groups, part, n_parts, &begin, &end);
  for (int64_t item = begin; item < end; item++) {
    const int64_t k = item / a.x.groups, g = item % a.x.groups, first = g * a.x.channels + k * per_group;
    float *mean = a.mean + item * lanes, *rstd = a.rstd + item * lanes, *centre = scale;

    clear(sum, sum_period);
    for (int64_t c = 0; c < per_group; c++) {
      const float* x = a.x.data + (first + c) * plane;
      for_periods(plane, sum_period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
        store(sum + j, vload(sum + j) + vload(x + i));
      });
    }
    tree_of_rows(sum, lanes);
    for (int64_t l = 0; l < lanes; l++) mean[l] = centre[l] = sum[l] / n;
    repeat(centre, lanes, sum_period);

    clear(sum, sum_period);
    for (int64_t c = 0; c < per_group; c++) {
      const float* x = a.x.data + (first + c) * plane;
      for_periods(plane, sum_period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
        const vec d = vload(x + i) - vload(centre + j);
        store(sum + j, vfma(d, d, vload(sum + j)));
      });
    }
    tree_of_rows(sum, lanes);
    for (int64_t l = 0; l < lanes; l++) rstd[l] = 1.0f / __builtin_sqrtf(sum[l] / n + a.eps);

    for (int64_t c = 0; c < per_group; c++) {
      const float gamma = a.gamma[k * per_group + c], beta = a.beta[k * per_group + c];
      for (int64_t l = 0; l < lanes; l++) {
        scale[l] = gamma * rstd[l];
        shift[l] = sfma(-mean[l], scale[l], beta);
      }
      repeat(scale, lanes, period);
      repeat(shift, lanes, period);
      const float* x = a.x.data + (first + c) * plane;
      float* y = a.y.data + (first + c) * plane;
      with_fused_activation(a.activation.kind, [&](auto tag) EDGECL_INLINE_LAMBDA {
        for_periods(plane, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
          store(y + i,
                fused_activation<decltype(tag)::kind>(vfma(vload(x + i), vload(scale + j), vload(shift + j)), lo, hi));
        });
      });
    }
  }
}

namespace {

// What the backward pass of one group of channels works in.
struct GradientScratch {
  float *t0, *t1;                // [rows]: sums over the group's channels
  float *sum0, *sum1;            // one period each: sums over one plane
  float* centre;                 // [groups of rows][period]: the means, repeated
  float *scale, *slope, *shift;  // one period each: coefficients of dx
};

EDGECL_INLINE void lay_out(const GroupNormBackwardArgs& a, float* base, GradientScratch* s) {
  const GroupNormGradientPieces p = group_norm_gradient_pieces(a);
  float** const fields[] = {&s->t0, &s->t1, &s->sum0, &s->sum1, &s->centre, &s->scale, &s->slope, &s->shift};
  const int64_t sizes[] = {p.rows, p.rows, p.period, p.period, p.centre, p.period, p.period, p.period};
  for (int i = 0; i < 8; base += sizes[i++]) *fields[i] = base;
}

// Adds up S0 and S1 of channel c for every row; formulas beside the scalar reference.
template <Activation kKind>
__attribute__((noinline)) void channel_sums(const GroupNormBackwardArgs& a, const float* rstd, int64_t c,
                                            const GradientScratch& s) {
  const int64_t lanes = a.dy.lanes, plane = a.dy.plane(), period = kVirtualLanes * lanes;
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  const float gamma = a.gamma[c];
  float dbeta = 0.0f, dgamma = 0.0f;
  float *sum0 = s.sum0, *sum1 = s.sum1;
  for (int64_t g = 0; g < a.dy.groups; g++) {
    const int64_t base = (g * a.dy.channels + c) * plane;
    const float *x = a.x.data + base, *y = kKind == Activation::kNone ? nullptr : a.y.data + base,
                *dy = a.dy.data + base;
    const float* centre = s.centre + g * with_slack(period);
    clear(sum0, period);
    clear(sum1, period);
    for_periods(plane, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
      const vec dz =
          through_activation<kKind>(kKind == Activation::kNone ? vzero() : vload(y + i), vload(dy + i), lo, hi);
      store(sum0 + j, vload(sum0 + j) + dz);
      store(sum1 + j, vfma(dz, vload(x + i) - vload(centre + j), vload(sum1 + j)));
    });
    tree_of_rows(sum0, lanes);
    tree_of_rows(sum1, lanes);
    for (int64_t l = 0; l < lanes; l++) {
      const int64_t row = g * lanes + l;
      const float scaled = sum1[l] * rstd[row];
      dbeta = dbeta + sum0[l];
      dgamma = dgamma + scaled;
      s.t0[row] = sfma(gamma, sum0[l], s.t0[row]);
      s.t1[row] = sfma(gamma, scaled, s.t1[row]);
    }
  }
  if (a.dbeta) a.dbeta[c] = dbeta;
  if (a.dgamma) a.dgamma[c] = dgamma;
}

template <Activation kKind>
__attribute__((noinline)) void input_gradient(const GroupNormBackwardArgs& a, const float* rstd, int64_t c, float n,
                                              const GradientScratch& s) {
  const int64_t lanes = a.dy.lanes, plane = a.dy.plane(), period = coefficient_period(lanes);
  const vec lo = vset(a.activation.lo), hi = vset(a.activation.hi);
  float *scale = s.scale, *slope = s.slope, *shift = s.shift;
  const bool accumulate = a.accumulate_dx;
  for (int64_t g = 0; g < a.dy.groups; g++) {
    for (int64_t l = 0; l < lanes; l++) {
      const int64_t row = g * lanes + l;
      scale[l] = a.gamma[c] * rstd[row];
      slope[l] = -(rstd[row] * (rstd[row] * (s.t1[row] / n)));
      shift[l] = -(rstd[row] * (s.t0[row] / n));
    }
    repeat(scale, lanes, period);
    repeat(slope, lanes, period);
    repeat(shift, lanes, period);
    const int64_t base = (g * a.dy.channels + c) * plane;
    const float *x = a.x.data + base, *y = kKind == Activation::kNone ? nullptr : a.y.data + base,
                *dy = a.dy.data + base;
    const float* centre = s.centre + g * with_slack(kVirtualLanes * lanes);
    float* dx = a.dx.data + base;
    for_periods(plane, period, [&](int64_t i, int64_t j, auto store) EDGECL_INLINE_LAMBDA {
      const vec dz =
          through_activation<kKind>(kKind == Activation::kNone ? vzero() : vload(y + i), vload(dy + i), lo, hi);
      const vec r =
          vfma(dz, vload(scale + j), vfma(vload(x + i) - vload(centre + j), vload(slope + j), vload(shift + j)));
      store(dx + i, accumulate ? vload(dx + i) + r : r);
    });
  }
}

}  // namespace

void group_norm_backward(const GroupNormBackwardArgs& a, int part, int n_parts, void* scratch) {
  GradientScratch s;
  lay_out(a, static_cast<float*>(scratch), &s);
  const int64_t lanes = a.dy.lanes, rows = a.dy.rows(), per_group = a.dy.channels / a.n_groups,
                period = kVirtualLanes * lanes;
  const float n = static_cast<float>(per_group * a.dy.height * a.dy.width);
  int64_t begin, end;
  share(a.n_groups, part, n_parts, &begin, &end);
  void (*add_sums)(const GroupNormBackwardArgs&, const float*, int64_t, const GradientScratch&) = nullptr;
  void (*gradient)(const GroupNormBackwardArgs&, const float*, int64_t, float, const GradientScratch&) = nullptr;
  with_fused_activation(a.activation.kind, [&](auto tag) EDGECL_INLINE_LAMBDA {
    add_sums = channel_sums<decltype(tag)::kind>;
    gradient = input_gradient<decltype(tag)::kind>;
  });
  for (int64_t k = begin; k < end; k++) {
    const float *mean = a.mean + k * rows, *rstd = a.rstd + k * rows;
    for (int64_t g = 0; g < a.dy.groups; g++) {
      memcpy(s.centre + g * with_slack(period), mean + g * lanes, static_cast<size_t>(lanes) * sizeof(float));
      repeat(s.centre + g * with_slack(period), lanes, period);
    }
    clear(s.t0, rows);
    clear(s.t1, rows);
    for (int64_t c = k * per_group; c < (k + 1) * per_group; c++) add_sums(a, rstd, c, s);
    if (!a.dx.data) continue;
    for (int64_t c = k * per_group; c < (k + 1) * per_group; c++) gradient(a, rstd, c, n, s);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
