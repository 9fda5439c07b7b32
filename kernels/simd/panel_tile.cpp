// The tile behind all matrix products in double: accumulators of some rows of a panel stay in registers along k.
// Never here: the order of the tiles.
#include "kernels/simd/panel_tile.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

constexpr int kTileRows = kShape.floats == 16 ? 24 : 6;  // rows whose accumulators fill the registers
constexpr int kFewRows = kShape.floats == 16 ? 8 : 2;    // the same of what is left over

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

}  // namespace

void subtract_rows(Panels left, const double* right, int64_t n, double* c, int64_t rows) {
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
