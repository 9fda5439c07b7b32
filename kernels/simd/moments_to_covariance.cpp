// Scatter around means: the second moments, less the products of blocks of sums. A panel's columns lie in the lanes;
// strips of rows meet all panels while they are in the first cache.
// Never here: shrinkage, and how weights follow from counts.
#include "kernels/simd/panel_tile.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

// to[p][v][c] = weight[v] * sums[v][8p + c], p from `first` on.
void pack_columns(const MomentsToCovarianceArgs& a, const PanelShare& panels, int64_t v0, int64_t n, double* to) {
  for (int64_t p = panels.begin; p < panels.end; p++) {
    for (int64_t v = v0; v < v0 + n; v++, to += kPanelColumns) {
      for (int64_t c = 0; c < kPanelColumns; c++) {
        const int64_t j = p * kPanelColumns + c;
        to[c] = j < a.d ? a.weight[v] * static_cast<double>(a.sums[v * a.d + j]) : 0.0;
      }
    }
  }
}

// The sums of some rows as panels of vectors: to[v / 8][row][v % 8].
void pack_rows(const MomentsToCovarianceArgs& a, int64_t row, int64_t rows, int64_t v0, int64_t n, double* to) {
  for (int64_t v = 0; v < n; v++) {
    double* column = to + v / kPanelColumns * kStrip * kPanelColumns + v % kPanelColumns;
    const int64_t* from = a.sums + (v0 + v) * a.d + row;
    for (int64_t i = 0; i < rows; i++) column[i * kPanelColumns] = static_cast<double>(from[i]);
  }
}

void scale(double alpha, const int64_t* moments, int64_t n, double* out) {
  typedef int64_t Longs __attribute__((vector_size(EDGECL_VECTOR_BYTES)));
  const dvec factor = dset(alpha);
  for (int64_t i = 0; i < n; i += kDoubles) {
    Longs m;
    memcpy(&m, moments + i, sizeof m);
    dstore(out + i, factor * __builtin_convertvector(m, dvec));
  }
}

}  // namespace

void moments_to_covariance(const MomentsToCovarianceArgs& a, int part, int n_parts, void* scratch) {
  const PanelShare mine = panel_share(a.d, part, n_parts);
  double* rows = static_cast<double*>(scratch);
  double* columns = rows + round_up(least(a.k, kCovarianceSums), kPanelColumns) * kStrip;
  int64_t v = 0;
  do {
    const int64_t n = least(a.k - v, kCovarianceSums);
    const bool is_last = v + n == a.k;
    pack_columns(a, mine, v, n, columns);
    for (int64_t row = mine.begin * kPanelColumns; row < a.d && mine.begin < mine.end; row += kStrip) {
      const int64_t end = least(row + kStrip, a.d);
      pack_rows(a, row, end - row, v, n, rows);
      for (int64_t p = mine.begin; p < mine.end && p * kPanelColumns < end; p++) {
        const int64_t column = p * kPanelColumns, first = row < column ? column : row,
                      at = moments_at(first, column, a.d);
        double* c = a.covariance + at;
        if (v == 0) scale(a.alpha, a.moments + at, (end - first) * kPanelColumns, c);
        const Panels left = {rows + (first - row) * kPanelColumns, kStrip * kPanelColumns, 0};
        subtract_rows(left, columns + (p - mine.begin) * n * kPanelColumns, n, c, end - first);
        for (int64_t i = first; is_last && i < least(end, column + kPanelColumns); i++) {
          double* diagonal = a.covariance + moments_at(i, i, a.d);
          *diagonal = *diagonal + a.ridge;
          for (int64_t above = 1; above < column + kPanelColumns - i; above++) diagonal[above] = 0.0;
        }
      }
    }
    v += n;
  } while (v < a.k);
}

}  // namespace edgecl::EDGECL_LEVEL
