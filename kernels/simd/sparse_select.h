// Which stored entries a part of a sparse weight gradient computes: its share of the selected ones, without gaps.
// Never here: the gradients themselves.
#ifndef EDGECL_KERNELS_SIMD_SPARSE_SELECT_H_
#define EDGECL_KERNELS_SIMD_SPARSE_SELECT_H_

#include "kernels/plan/sparse_gradient_plan.h"
#include "kernels/simd/simd.h"

namespace edgecl::EDGECL_LEVEL {

// A compile-time count, to choose one of a few unrolled forms.
template <int kValue>
struct Count {
  static constexpr int value = kValue;
};

// Chooses the part's units, so that parts have about the same number of entries to compute, and fills the compact
// copies.
static inline void select_entries(const SparsePattern& p, const uint8_t* selected, int part, int n_parts,
                                  SelectedEntries* e) {
  const int64_t n_units = static_cast<int64_t>(p.n_blocks) * p.rows;
  uint64_t total = p.nnz;
  if (selected) {
    total = 0;
    for (uint32_t k = 0; k < p.nnz; k++) total += selected[k] != 0;
  }
  const uint64_t begin = total * part / n_parts, end = total * (part + 1) / n_parts;
  uint64_t before = 0;  // entries in units before u
  e->unit_begin = part == 0 ? 0 : n_units;
  e->unit_end = n_units;
  for (int64_t u = 0; u < n_units; u++) {
    if (before >= begin && e->unit_begin == n_units) e->unit_begin = u;
    if (before >= end && part + 1 < n_parts) {
      e->unit_end = u;
      break;
    }
    uint64_t here = p.row_start[u + 1] - p.row_start[u];
    if (selected) {
      here = 0;
      for (uint32_t k = p.row_start[u]; k < p.row_start[u + 1]; k++) here += selected[k] != 0;
    }
    before += here;
  }
  if (e->unit_end < e->unit_begin) e->unit_begin = e->unit_end;
  if (!selected) return;
  uint32_t n = 0;
  for (int64_t u = e->unit_begin; u < e->unit_end; u++) {
    e->owned_start[u] = n;
    for (uint32_t k = p.row_start[u]; k < p.row_start[u + 1];
         k++) {  // written always, kept by the step: no branch to mispredict
      e->owned_index[n] = p.index[k];
      n += selected[k] != 0;
    }
  }
  e->owned_start[e->unit_end] = n;
}

// Spreads the compact totals over the part's entries; those that were not selected become +0.
static inline void scatter_totals(const SparsePattern& p, const uint8_t* selected, const SelectedEntries& e,
                                  float* dvalue) {
  if (!selected) return;
  uint32_t n = 0;
  for (uint32_t k = p.row_start[e.unit_begin]; k < p.row_start[e.unit_end]; k++) {
    dvalue[k] = selected[k] ? e.total[n] : 0.0f;
    n += selected[k] != 0;
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_SPARSE_SELECT_H_
