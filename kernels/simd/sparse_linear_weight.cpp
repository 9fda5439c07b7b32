// Sparse linear layer, weight gradient: a vector of stored entries at a time, the batch rows one after the other.
// Never here: forward and input gradient, gradients of weights that are not stored.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/simd.h"
#include "kernels/simd/sparse_plan.h"
#include "kernels/simd/sparse_select.h"
#include "kernels/simd/transpose.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

// Below this many batch lanes turning a square of kVec x kVec costs more than the chains themselves.
constexpr int kMinLanes = 4;

// Entries [k, k + n), n <= kVec, of one row, a vector lane each; source: the channel block's first channel, in group 0.
// Bundles never span channel blocks: a block's channels stay in the first-level cache, which is worth more than full
// vectors.
EDGECL_INLINE void entries_together(const SparseLinearBackwardWeightArgs& a, const SelectedEntries& e, int64_t row,
                                    const float* source, uint32_t k, int n) {
  const int64_t lanes = a.x.lanes;
  const float* from[kVec];
  for (int i = 0; i < kVec; i++) from[i] = source + e.index[k + (i < n ? i : n - 1)] * lanes;
  vec acc = vzero();
  for (int64_t g = 0; g < a.x.groups; g++) {
    const float* dy = a.dy.data + (g * a.dy.channels + row) * lanes;
    const int64_t group = g * a.x.channels * lanes;
    for (int64_t l = 0; l < lanes; l += kVec) {
      vec x[kVec];
      EDGECL_UNROLL
      for (int i = 0; i < kVec; i++) x[i] = vload(from[i] + group + l);
      if constexpr (kVec == 16) exchange_all<8 % kVec>(x);
      if constexpr (kVec >= 8) exchange_all<4 % kVec>(x);
      exchange_all<2>(x);
      exchange_all<1>(x);
      if (lanes - l >= kVec) {
        EDGECL_UNROLL
        for (int i = 0; i < kVec; i++) acc = vfma(vset(dy[l + i]), x[i], acc);
      } else {
        EDGECL_UNROLL
        for (int i = 0; i < kVec; i++)
          if (i < lanes - l) acc = vfma(vset(dy[l + i]), x[i], acc);
      }
    }
  }
  vstore_n(e.total + k, acc, n);
}

// A few batch rows: one entry at a time.
void entries_one_by_one(const SparseLinearBackwardWeightArgs& a, const SelectedEntries& e, int64_t u) {
  const SparsePattern& p = a.pattern;
  const int64_t lanes = a.x.lanes;
  const float* source = a.x.data + u / p.rows * p.channel_block * lanes;
  const float* dy = a.dy.data + u % p.rows * lanes;  // so few lanes are one group
  if (lanes == 1) {
    const float d = *dy;
    for (uint32_t k = e.row_start[u]; k < e.row_start[u + 1]; k++) e.total[k] = sfma(d, source[e.index[k]], 0.0f);
    return;
  }
  for (uint32_t k = e.row_start[u]; k < e.row_start[u + 1]; k++) {
    float acc = 0.0f;
    for (int64_t l = 0; l < lanes; l++) acc = sfma(dy[l], source[e.index[k] * lanes + l], acc);
    e.total[k] = acc;
  }
}

}  // namespace

size_t sparse_linear_backward_weight_scratch_bytes(const SparseLinearBackwardWeightArgs& a) {
  ScratchCursor cursor = {nullptr, 0};
  take_entries(a.pattern, a.selected, a.dvalue, &cursor);
  return cursor.used;
}

void sparse_linear_backward_weight(const SparseLinearBackwardWeightArgs& a, int part, int n_parts, void* scratch) {
  const SparsePattern& p = a.pattern;
  const int64_t lanes = a.x.lanes;
  if (a.dbias) {
    int64_t begin, end;
    share(p.rows, part, n_parts, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
      float sum = 0.0f;
      for (int64_t g = 0; g < a.dy.groups; g++)
        for (int64_t l = 0; l < lanes; l++) sum += a.dy.data[(g * a.dy.channels + row) * lanes + l];
      a.dbias[row] = sum;
    }
  }
  ScratchCursor cursor = {static_cast<char*>(scratch), 0};
  SelectedEntries e = take_entries(p, a.selected, a.dvalue, &cursor);
  select_entries(p, a.selected, part, n_parts, &e);
  if (lanes < kMinLanes && a.x.groups == 1) {
    for (int64_t u = e.unit_begin; u < e.unit_end; u++) entries_one_by_one(a, e, u);
  } else {
    for (int64_t u = e.unit_begin; u < e.unit_end; u++) {
      const float* source = a.x.data + u / p.rows * p.channel_block * lanes;
      for (uint32_t k = e.row_start[u], end = e.row_start[u + 1]; k < end; k += kVec)
        entries_together(a, e, u % p.rows, source, k,
                         end - k < static_cast<uint32_t>(kVec) ? static_cast<int>(end - k) : kVec);
    }
  }
  scatter_totals(p, a.selected, e, a.dvalue);
}

}  // namespace edgecl::EDGECL_LEVEL
