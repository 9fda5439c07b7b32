// Matrix products in double on packed panels (kernels/moments.h): rows of eight values, a chain for each, k ascending.
// Never here: square roots, substitution, and what is subtracted from what.
#ifndef EDGECL_KERNELS_SIMD_PANEL_TILE_H_
#define EDGECL_KERNELS_SIMD_PANEL_TILE_H_

#include "kernels/kernel_declarations.h"
#include "kernels/plan/moments_plan.h"
#include "kernels/simd/simd.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

constexpr int kPanelParts = kPanelColumns / kDoubles;    // native vectors of a row
constexpr int kTileRows = kShape.floats == 16 ? 24 : 6;  // rows whose accumulators fill the registers
constexpr int kFewRows = kShape.floats == 16 ? 8 : 2;    // the same of what is left over

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

// c[r] -= left(r, k) * right[k] for kRows rows of eight, k = 0 to n - 1.
template <int kRows>
EDGECL_INLINE void subtract_tile(Panels left, const double* right, int64_t n, double* c) {
  dvec acc[kRows][kPanelParts];
  EDGECL_UNROLL
  for (int r = 0; r < kRows; r++) {
    EDGECL_UNROLL
    for (int i = 0; i < kPanelParts; i++) acc[r][i] = dload(c + r * kPanelColumns + i * kDoubles);
  }
  for (; n > 0; n -= kPanelColumns) {
    const int64_t columns = n < kPanelColumns ? n : kPanelColumns;
    for (int64_t k = 0; k < columns; k++, right += kPanelColumns) {
      dvec x[kPanelParts];
      EDGECL_UNROLL
      for (int i = 0; i < kPanelParts; i++) x[i] = dload(right + i * kDoubles);
      EDGECL_UNROLL
      for (int r = 0; r < kRows; r++) {
        const dvec l = dset(left.first[r * kPanelColumns + k]);
        EDGECL_UNROLL
        for (int i = 0; i < kPanelParts; i++) acc[r][i] = dfnma(l, x[i], acc[r][i]);
      }
    }
    left.first += left.step;
    left.step += left.growth;
  }
  EDGECL_UNROLL
  for (int r = 0; r < kRows; r++) {
    EDGECL_UNROLL
    for (int i = 0; i < kPanelParts; i++) dstore(c + r * kPanelColumns + i * kDoubles, acc[r][i]);
  }
}

// The same of any number of rows.
static __attribute__((noinline)) void subtract_rows(Panels left, const double* right, int64_t n, double* c,
                                                    int64_t rows) {
  for (; rows >= kTileRows; rows -= kTileRows) {
    subtract_tile<kTileRows>(left, right, n, c);
    left.first += kTileRows * kPanelColumns;
    c += kTileRows * kPanelColumns;
  }
  for (; rows >= kFewRows; rows -= kFewRows) {
    subtract_tile<kFewRows>(left, right, n, c);
    left.first += kFewRows * kPanelColumns;
    c += kFewRows * kPanelColumns;
  }
  for (; rows > 0; rows--) {
    subtract_tile<1>(left, right, n, c);
    left.first += kPanelColumns;
    c += kPanelColumns;
  }
}

}  // namespace edgecl::EDGECL_LEVEL

#endif  // EDGECL_KERNELS_SIMD_PANEL_TILE_H_
