// Softmax cross-entropy over the allowed classes, and mean squared error to stored logits; batch rows lie in the vector
// lanes.
// Never here: sums over rows (the caller adds loss_row in row order), and the choice of the weights.
// Built for size (-Os): a few per cent of a step at most.
#include "kernels/simd/math.h"
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Rows of [row_begin, row_end) that one vector holds: neighbouring lanes of one group.
struct Rows {
  int64_t first, offset;  // offset of (row, class 0) in the logits; class c lies c * lanes further
  int count;
};

// Calls body for every vector of this part's rows; parts split the rows at multiples of 16.
template <class Body>
EDGECL_INLINE void for_rows(const Tensor& t, int64_t row_begin, int64_t row_end, int part, int n_parts, Body body) {
  int64_t row, end;
  flat_share(row_end - row_begin, part, n_parts, &row, &end);
  row += row_begin;
  end += row_begin;
  while (row < end) {
    const int64_t group = row / t.lanes, group_end = (group + 1) * t.lanes;
    int64_t count = (group_end < end ? group_end : end) - row;
    if (count > kVec) count = kVec;
    body(Rows{row, group * t.channels * t.lanes + row % t.lanes, static_cast<int>(count)});
    row += count;
  }
}

// Unused lanes get what lane 0 has: nothing is read that was not given.
template <class Value>
EDGECL_INLINE vec gather_rows(const Rows& r, Value value) {
  float v[kVec];
  for (int i = 0; i < kVec; i++) v[i] = value(i < r.count ? i : 0);
  return vload(v);
}

}  // namespace

void cross_entropy(const CrossEntropyArgs& a, int part, int n_parts, void*) {
  const int64_t classes = a.logits.channels, lanes = a.logits.lanes;
  const float* logits = a.logits.data;
  float* dlogits = a.dlogits.data;
  const vec weight = vset(a.weight);
  for_rows(a.logits, a.row_begin, a.row_end, part, n_parts, [&](const Rows& r) EDGECL_INLINE_LAMBDA {
    const float* z = logits + r.offset;
    float* d = dlogits + r.offset;
    const int32_t* labels = a.labels + r.first;
    const vec label_logit = gather_rows(r, [&](int i) EDGECL_INLINE_LAMBDA { return z[labels[i] * lanes + i]; });
    ivec label;
    for (int i = 0; i < kVec; i++) label[i] = labels[i < r.count ? i : 0];
    vec largest = vset(-__builtin_inff());
    for (int64_t c = 0; c < classes; c++)
      if (a.allowed[c]) largest = vmax(vload(z + c * lanes), largest);
    vec sum = vzero();
    for (int64_t c = 0; c < classes; c++) {
      vec e = vzero();
      if (a.allowed[c]) {
        e = vexp(vload(z + c * lanes) - largest);
        sum = sum + e;
      }
      vstore_n(d + c * lanes, e, r.count);
    }
    vstore_n(a.loss_row + r.first, weight * (vlog(sum) - (label_logit - largest)), r.count);
    for (int64_t c = 0; c < classes; c++) {
      if (!a.allowed[c]) continue;
      const vec softmax = vload_n(d + c * lanes, r.count) / sum;  // behind them lie rows of another part
      vstore_n(d + c * lanes, weight * (label == static_cast<int32_t>(c) ? softmax - 1.0f : softmax), r.count);
    }
  });
}

void logits_mse(const LogitsMseArgs& a, int part, int n_parts, void*) {
  const int64_t classes = a.logits.channels, lanes = a.logits.lanes;
  const float* logits = a.logits.data;
  float* dlogits = a.dlogits.data;
  const vec twice = vset(2.0f * a.weight);
  for_rows(a.logits, a.row_begin, a.row_end, part, n_parts, [&](const Rows& r) EDGECL_INLINE_LAMBDA {
    const float* z = logits + r.offset;
    float* dz = dlogits + r.offset;
    const float* const* target = a.target + r.first;
    vec sum = vzero();
    for (int64_t c = 0; c < classes; c++) {
      vec result = vzero();
      if (a.allowed[c]) {
        const vec d = vload(z + c * lanes) - gather_rows(r, [&](int i) EDGECL_INLINE_LAMBDA { return target[i][c]; });
        sum = vfma(d, d, sum);
        result = twice * d;
      }
      vstore_n(dz + c * lanes, result, r.count);
    }
    vstore_n(a.loss_row + r.first, vset(a.weight) * sum, r.count);
  });
}

}  // namespace edgecl::EDGECL_LEVEL
