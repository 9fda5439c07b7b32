// Shares and scratch memory of the kernels of kernels/moments.h.
// Never here: the kernels.
#include "kernels/plan/moments_plan.h"

namespace edgecl {

namespace plan {
namespace {

// The first panel with at least `part` of `n_parts` of all values in front of it.
int64_t first_panel(int64_t d, int part, int n_parts) {
  const int64_t panels = panels_of(d);
  int64_t low = 0, high = panels;
  while (low < high) {
    const int64_t middle = (low + high) / 2;
    if (moments_panel(middle, d) * n_parts >= moments_size(d) * part) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

}  // namespace

PanelShare panel_share(int64_t d, int part, int n_parts) {
  return {first_panel(d, part, n_parts), first_panel(d, part + 1, n_parts)};
}

}  // namespace plan

using namespace plan;

uint64_t ScratchTable::quantize_rows_scratch_bytes(const QuantizeRowsArgs&) const {
  return 0;
}

uint64_t ScratchTable::sum_row_scratch_bytes(const SumRowArgs&) const {
  return 0;
}

// The rows again, as [d][2 * pairs].
uint64_t ScratchTable::moments_update_scratch_bytes(const MomentsUpdateArgs& a) const {
  return streamed.floats == 1 ? 0 : static_cast<uint64_t>(2 * row_pairs(a.n) * a.d) * sizeof(int16_t);
}

// Of a block of vectors: all columns as panels, and the rows of a strip.
uint64_t ScratchTable::moments_to_covariance_scratch_bytes(const MomentsToCovarianceArgs& a) const {
  if (tiled.floats == 1) return 0;
  const int64_t sums = round_up(least(a.k, kCovarianceSums), kPanelColumns);
  return static_cast<uint64_t>(sums * (round_up(a.d, kPanelColumns) + kStrip)) * sizeof(double);
}

// The rows of a block's triangle, transposed: kChain columns of them, or those of the block.
uint64_t ScratchTable::cholesky_factor_scratch_bytes(const CholeskyFactorArgs& a) const {
  if (tiled.floats == 1) return 0;
  return static_cast<uint64_t>(kCholeskyBlock * least(round_up(a.d, kCholeskyBlock), kChain)) * sizeof(double);
}

uint64_t ScratchTable::cholesky_solve_scratch_bytes(const CholeskySolveArgs& a) const {
  if (tiled.floats == 1) return 0;
  return static_cast<uint64_t>(least(panels_of(a.columns), kSolveStrips) * a.d * kPanelColumns) * sizeof(double);
}

}  // namespace edgecl
