// Layer normalisation over the channels of each position, with or without the mean, and its gradients.
// Never here: statistics over positions (group_norm.cpp) or over the batch.
//
// A column is the channels of one position of one row. Columns lie side by side, H * W * L of them in a group of rows, and
// are worked on in blocks of neighbours; where there is one alone, its channels are the lanes.
// Built for size (-Os): waits for memory.
#include "kernels/plan/streamed_plan.h"
#include "kernels/simd/periods.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Neighbouring columns. body(offset from the first float, offset in 16 rows of a float a column, channel, column, store).
struct Columns {
  int64_t channels, plane, columns;
  template <class Body>
  EDGECL_ALWAYS_INLINE void each(Body body) const {
    for (int64_t c = 0; c < channels; c++) {
      const int64_t row = c % kVirtualLanes * columns;
      for_once(0, columns,
               [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA { body(c * plane + k, row + k, c, k, store); });
    }
  }
  EDGECL_ALWAYS_INLINE static vec of_channel(const float* p, int64_t c) { return vset(p[c]); }
  EDGECL_ALWAYS_INLINE static vec of_column(const float* p, int64_t k) { return vload(p + k); }
};

// One column in all.
struct Alone {
  int64_t channels, plane, columns;
  template <class Body>
  EDGECL_ALWAYS_INLINE void each(Body body) const {
    for_once(0, channels, [&](int64_t c, auto store) EDGECL_INLINE_LAMBDA { body(c, c % kVirtualLanes, c, 0, store); });
  }
  EDGECL_ALWAYS_INLINE static vec of_channel(const float* p, int64_t c) { return vload(p + c); }
  EDGECL_ALWAYS_INLINE static vec of_column(const float* p, int64_t) { return vset(*p); }
};

// Calls body(block, offset of its first float, its first column) for each block of the share.
template <class Body>
EDGECL_INLINE void for_share(const Tensor& x, int part, int n_parts, Body body) {
  const int64_t plane = x.plane(), blocks = (plane + kNormalizeColumns - 1) / kNormalizeColumns;
  int64_t begin, end;
  share(x.groups * blocks, part, n_parts, &begin, &end);
  for (int64_t i = begin; i < end; i++) {
    const int64_t group = i / blocks, offset = i % blocks * kNormalizeColumns, left = plane - offset;
    const int64_t columns = left < kNormalizeColumns ? left : kNormalizeColumns;
    const int64_t first = group * x.channels * plane + offset, column = group * plane + offset;
    if (plane == 1)
      body(Alone{x.channels, plane, columns}, first, column);
    else
      body(Columns{x.channels, plane, columns}, first, column);
  }
}

template <class Block>
EDGECL_INLINE void forward_block(const LayerNormForwardArgs& a, const Block& b, const float* x, float* y, float* sum,
                                 float* mean, float* rstd) {
  const vec n = vset(static_cast<float>(b.channels)), eps = vset(a.eps), one = vset(1.0f);
  const float *gamma = a.gamma, *beta = a.beta;
  clear(mean, b.columns);
  if (a.centred) {
    clear(sum, kVirtualLanes * b.columns);
    b.each([&](int64_t i, int64_t j, int64_t, int64_t, auto store)
               EDGECL_INLINE_LAMBDA { store(sum + j, vload(sum + j) + vload(x + i)); });
    tree_of_rows(sum, b.columns);
    store_once(mean, 0, b.columns, [&](int64_t k) EDGECL_INLINE_LAMBDA { return vload(sum + k) / n; });
  }
  clear(sum, kVirtualLanes * b.columns);
  b.each([&](int64_t i, int64_t j, int64_t, int64_t k, auto store) EDGECL_INLINE_LAMBDA {
    const vec d = vload(x + i) - b.of_column(mean, k);
    store(sum + j, vfma(d, d, vload(sum + j)));
  });
  tree_of_rows(sum, b.columns);
  store_once(rstd, 0, b.columns, [&](int64_t k) EDGECL_INLINE_LAMBDA { return one / vsqrt(vload(sum + k) / n + eps); });
  b.each([&](int64_t i, int64_t, int64_t c, int64_t k, auto store) EDGECL_INLINE_LAMBDA {
    vec v = (vload(x + i) - b.of_column(mean, k)) * b.of_column(rstd, k);
    if (gamma && beta)
      v = vfma(v, b.of_channel(gamma, c), b.of_channel(beta, c));
    else if (gamma)
      v = v * b.of_channel(gamma, c);
    else if (beta)
      v = v + b.of_channel(beta, c);
    store(y + i, v);
  });
}

template <class Block>
EDGECL_INLINE void gradient_block(const LayerNormBackwardDataArgs& a, const Block& b, const float* x, const float* dy,
                                  float* dx, const float* mean, const float* rstd, float* sum, float* along) {
  const vec n = vset(static_cast<float>(b.channels));
  const float* gamma = a.gamma;
  const bool centred = a.centred, accumulate = a.accumulate;
  const auto scaled = [&](int64_t i, int64_t c) EDGECL_INLINE_LAMBDA {
    return gamma ? vload(dy + i) * b.of_channel(gamma, c) : vload(dy + i);
  };
  const auto normal = [&](int64_t i, int64_t k) EDGECL_INLINE_LAMBDA {
    return (vload(x + i) - (centred ? b.of_column(mean, k) : vzero())) * b.of_column(rstd, k);
  };
  clear(sum, kVirtualLanes * b.columns);
  clear(along, kVirtualLanes * b.columns);
  b.each([&](int64_t i, int64_t j, int64_t c, int64_t k, auto store) EDGECL_INLINE_LAMBDA {
    const vec t = scaled(i, c);
    store(sum + j, vload(sum + j) + t);
    store(along + j, vfma(t, normal(i, k), vload(along + j)));
  });
  tree_of_rows(sum, b.columns);
  tree_of_rows(along, b.columns);
  for_once(0, b.columns, [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA {
    store(sum + k, centred ? vload(sum + k) / n : vzero());
    store(along + k, -(vload(along + k) / n));
  });
  b.each([&](int64_t i, int64_t, int64_t c, int64_t k, auto store) EDGECL_INLINE_LAMBDA {
    const vec t = scaled(i, c) - b.of_column(sum, k);
    const vec r = vfma(b.of_column(along, k), normal(i, k), t) * b.of_column(rstd, k);
    store(dx + i, accumulate ? vload(dx + i) + r : r);
  });
}

}  // namespace

void layer_norm_forward(const LayerNormForwardArgs& a, int part, int n_parts, void* scratch) {
  float *sum = static_cast<float*>(scratch), *mean = sum + normalize_lanes(a.x),
        *rstd = mean + with_slack(kNormalizeColumns);
  for_share(a.x, part, n_parts, [&](const auto& block, int64_t first, int64_t column) EDGECL_INLINE_LAMBDA {
    forward_block(a, block, a.x.data + first, a.y.data + first, sum, mean, rstd);
    if (!a.rstd) return;
    const size_t bytes = static_cast<size_t>(block.columns) * sizeof(float);
    if (a.centred) memcpy(a.mean + column, mean, bytes);
    memcpy(a.rstd + column, rstd, bytes);
  });
}

void layer_norm_backward_data(const LayerNormBackwardDataArgs& a, int part, int n_parts, void* scratch) {
  float *sum = static_cast<float*>(scratch), *along = sum + normalize_lanes(a.x);
  for_share(a.x, part, n_parts, [&](const auto& block, int64_t first, int64_t column) EDGECL_INLINE_LAMBDA {
    gradient_block(a, block, a.x.data + first, a.dy.data + first, a.dx.data + first,
                   a.centred ? a.mean + column : nullptr, a.rstd + column, sum, along);
  });
}

void layer_norm_backward_weight(const LayerNormBackwardWeightArgs& a, int part, int n_parts, void*) {
  const int64_t plane = a.x.plane(), channels = a.x.channels;
  const bool centred = a.centred;
  int64_t begin, end;
  share(channels, part, n_parts, &begin, &end);
  for (int64_t c = begin; c < end; c++) {
    float gamma[kVirtualLanes] = {}, beta[kVirtualLanes] = {};
    for (int64_t g = 0; g < a.x.groups; g++) {
      const int64_t base = (g * channels + c) * plane;
      const float *x = a.x.data + base, *dy = a.dy.data + base, *rstd = a.rstd + g * plane,
                  *mean = centred ? a.mean + g * plane : nullptr;
      for_once(0, plane, [&](int64_t k, auto store) EDGECL_INLINE_LAMBDA {
        const vec d = vload(dy + k), centre = centred ? vload(mean + k) : vzero();
        float *of_gamma = gamma + k % kVirtualLanes, *of_beta = beta + k % kVirtualLanes;
        store(of_gamma, vfma(d, (vload(x + k) - centre) * vload(rstd + k), vload(of_gamma)));
        store(of_beta, vload(of_beta) + d);
      });
    }
    if (a.dgamma) a.dgamma[c] = tree16(load16(gamma));
    if (a.dbeta) a.dbeta[c] = tree16(load16(beta));
  }
}

}  // namespace edgecl::EDGECL_LEVEL
