// Solutions of L L^T w = b by substitution. Right-hand sides lie in the lanes, eight to a strip; a few strips are
// packed and solved together, so that the factor is read once for all of them.
// Never here: the factor.
#include "kernels/simd/panel_tile.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// Eight unknowns by this many vectors of right-hand sides: their accumulators fill the registers.
constexpr int kBackVectors = kShape.floats == 8 ? 1 : 2;

struct Strips {
  double* first;  // [n][d][8]
  int64_t n, d;
  double* row(int64_t strip, int64_t i) const { return first + (strip * d + i) * kPanelColumns; }
  // Vectors of all strips, numbered through.
  double* vector(int64_t v, int64_t i) const { return row(v / kPanelParts, i) + v % kPanelParts * kDoubles; }
};

void pack(const CholeskySolveArgs& a, int64_t column, const Strips& y) {
  for (int64_t s = 0; s < y.n; s++, column += kPanelColumns) {
    const int64_t n = least(kPanelColumns, a.columns - column);
    for (int64_t i = 0; i < a.d; i++)
      for (int64_t c = 0; c < kPanelColumns; c++) y.row(s, i)[c] = c < n ? a.b[i * a.columns + column + c] : 0.0;
  }
}
void unpack(const CholeskySolveArgs& a, int64_t column, const Strips& y) {
  for (int64_t s = 0; s < y.n; s++, column += kPanelColumns) {
    const int64_t n = least(kPanelColumns, a.columns - column);
    for (int64_t i = 0; i < a.d; i++)
      for (int64_t c = 0; c < n; c++) a.b[i * a.columns + column + c] = y.row(s, i)[c];
  }
}

// The unknowns of one panel, which meet no others any more; l is its triangle, y its first vector.
template <bool kForward>
EDGECL_INLINE void substitute(const double* l, int64_t n, double* y) {
  for (int64_t step = 0; step < n; step++) {
    const int64_t i = kForward ? step : n - 1 - step;
    dvec acc = dload(y + i * kPanelColumns);
    for (int64_t k = kForward ? 0 : n - 1; k != i; k += kForward ? 1 : -1)
      acc = dfnma(dset(kForward ? l[i * kPanelColumns + k] : l[k * kPanelColumns + i]), dload(y + k * kPanelColumns),
                  acc);
    dstore(y + i * kPanelColumns, acc * dset(1.0 / l[i * kPanelColumns + i]));
  }
}
template <bool kForward>
void substitute_panel(const CholeskySolveArgs& a, int64_t first, const Strips& y) {
  const double* l = a.factor + moments_at(first, first, a.d);
  for (int64_t v = 0; v < y.n * kPanelParts; v++)
    substitute<kForward>(l, least(kPanelColumns, a.d - first), y.vector(v, first));
}

void forward(const CholeskySolveArgs& a, const Strips& y) {
  for (int64_t block = 0; block < a.d; block += kCholeskyBlock) {
    const int64_t end = least(block + kCholeskyBlock, a.d);
    for (int64_t k = 0; k < block; k += kChain) {
      for (int64_t row = block; row < end; row += kStrip) {
        for (int64_t s = 0; s < y.n; s++)
          subtract_rows(triangle_panels(a.factor, row, k, a.d), y.row(s, k), least(kChain, block - k), y.row(s, row),
                        least(kStrip, end - row));
      }
    }
    for (int64_t first = block; first < end; first += kPanelColumns) {
      for (int64_t s = 0; s < y.n && first > block; s++)
        subtract_rows(triangle_panels(a.factor, first, block, a.d), y.row(s, block), first - block, y.row(s, first),
                      least(kPanelColumns, end - first));
      substitute_panel<true>(a, first, y);
    }
  }
}

// y[first + i] -= l(k, i) * y[k] for a panel's eight unknowns, k = end - 1 down to begin.
template <int kVectors>
EDGECL_INLINE void subtract_back(const double* l, const Strips& y, int64_t v, int64_t first, int64_t begin,
                                 int64_t end) {
  dvec acc[kPanelColumns][kVectors];
  double* of[kVectors];
  EDGECL_UNROLL
  for (int j = 0; j < kVectors; j++) {
    of[j] = y.vector(v + j, 0);
    EDGECL_UNROLL
    for (int i = 0; i < kPanelColumns; i++) acc[i][j] = dload(of[j] + (first + i) * kPanelColumns);
  }
  for (int64_t k = end - 1; k >= begin; k--) {
    const double* row = l + (k - first) * kPanelColumns;
    dvec x[kVectors];
    EDGECL_UNROLL
    for (int j = 0; j < kVectors; j++) x[j] = dload(of[j] + k * kPanelColumns);
    EDGECL_UNROLL
    for (int i = 0; i < kPanelColumns; i++) {
      const dvec w = dset(row[i]);
      EDGECL_UNROLL
      for (int j = 0; j < kVectors; j++) acc[i][j] = dfnma(w, x[j], acc[i][j]);
    }
  }
  EDGECL_UNROLL
  for (int j = 0; j < kVectors; j++) {
    EDGECL_UNROLL
    for (int i = 0; i < kPanelColumns; i++) dstore(of[j] + (first + i) * kPanelColumns, acc[i][j]);
  }
}
__attribute__((noinline)) void subtract_panel(const CholeskySolveArgs& a, const Strips& y, int64_t first, int64_t begin,
                                              int64_t end) {
  const double* l = a.factor + moments_at(first, first, a.d);
  const int64_t n = y.n * kPanelParts;
  int64_t v = 0;
  for (; v + kBackVectors <= n; v += kBackVectors) subtract_back<kBackVectors>(l, y, v, first, begin, end);
  for (; v < n; v++) subtract_back<1>(l, y, v, first, begin, end);
}

// A block's unknowns are subtracted from all before them as soon as they are known: then they are in the first cache.
void backward(const CholeskySolveArgs& a, const Strips& y) {
  for (int64_t block = (a.d - 1) / kCholeskyBlock * kCholeskyBlock; block >= 0; block -= kCholeskyBlock) {
    const int64_t end = least(block + kCholeskyBlock, a.d);
    for (int64_t first = (end - 1) / kPanelColumns * kPanelColumns; first >= block; first -= kPanelColumns) {
      if (first + kPanelColumns < end) subtract_panel(a, y, first, first + kPanelColumns, end);
      substitute_panel<false>(a, first, y);
    }
    for (int64_t first = 0; first < block; first += kPanelColumns) subtract_panel(a, y, first, block, end);
  }
}

}  // namespace

void cholesky_solve(const CholeskySolveArgs& a, int part, int n_parts, void* scratch) {
  int64_t strip, end;
  share(panels_of(a.columns), part, n_parts, &strip, &end);
  for (; strip < end; strip += kSolveStrips) {
    const Strips y = {static_cast<double*>(scratch), least(kSolveStrips, end - strip), a.d};
    pack(a, strip * kPanelColumns, y);
    forward(a, y);
    if (!a.forward_only) backward(a, y);
    unpack(a, strip * kPanelColumns, y);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
