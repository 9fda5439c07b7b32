// Matrix products in double on packed panels (kernels/moments.h).
// Never here: square roots, substitution, and what is subtracted from what.
#ifndef EDGECL_KERNELS_SIMD_PANEL_TILE_H_
#define EDGECL_KERNELS_SIMD_PANEL_TILE_H_

#include "kernels/kernel_declarations.h"
#include "kernels/plan/moments_plan.h"
#include "kernels/simd/simd.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

constexpr int kPanelParts = kPanelColumns / kDoubles;  // native vectors of a row

// A matrix in panels: (row 0, column 0) of it, the way from there to the next panel, and by how much that way grows.
struct Panels {
  const double* first;
  int64_t step, growth;
};
// Entry (row, column) of a packed triangle; the column is the first of its panel.
EDGECL_INLINE Panels triangle_panels(const double* matrix, int64_t row, int64_t column, int64_t d) {
  return {matrix + moments_at(row, column, d), (d - column - kPanelColumns) * kPanelColumns,
          -kPanelColumns * kPanelColumns};
}

// c[r] -= left(r, k) * right[k] for `rows` rows of eight values; each value one chain, k = 0 to n - 1.
void subtract_rows(Panels left, const double* right, int64_t n, double* c, int64_t rows);

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_PANEL_TILE_H_
