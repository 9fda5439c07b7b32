// Cholesky factor by blocks of columns, left-looking: a block's columns are lanes, eight at a time; strips of rows meet
// all of them while they are in the first cache.
// Never here: what to do about a pivot that is too small.
#include "kernels/simd/panel_tile.h"

namespace edgecl::EDGECL_LEVEL {
namespace {

enum Step { kUpdate, kTriangle, kBelow };
constexpr int64_t kBlockPanels = kCholeskyBlock / kPanelColumns;

// What a row needs to be divided by a panel's own triangle: its columns below the diagonal, and the reciprocals of
// that.
struct PanelTriangle {
  double column[kPanelColumns][kPanelColumns];
  double reciprocal[kPanelColumns];
};
// Room for them and for their rows, in the scratch memory of a matrix of more than one block.
static_assert(kBlockPanels * sizeof(PanelTriangle) / sizeof(double) +
                      kBlockPanels * (kBlockPanels - 1) / 2 * kPanelColumns * kPanelColumns <=
                  kCholeskyBlock * kChain,
              "scratch memory of the rows below a block");

struct Block {
  double* matrix;
  int64_t d, begin, end;  // columns
  int64_t panels() const { return (end - begin + kPanelColumns - 1) / kPanelColumns; }
  int64_t column(int64_t panel) const { return begin + panel * kPanelColumns; }
  double* row_of(int64_t panel, int64_t row) const { return matrix + moments_at(row, column(panel), d); }
};

// to[k][c] = L(first + c, column + k) for n columns; rows from d on are zero.
void transpose_rows(const Block& b, int64_t first, int64_t column, int64_t n, double* to) {
  const int64_t rows = least(b.d - first, kPanelColumns);
  Panels from = triangle_panels(b.matrix, first, column, b.d);
  for (int64_t k = 0; k < n; k += kPanelColumns) {
    for (int64_t i = 0; i < kPanelColumns; i++, to += kPanelColumns)
      for (int64_t c = 0; c < kPanelColumns; c++) to[c] = c < rows ? from.first[c * kPanelColumns + i] : 0.0;
    from.first += from.step;
    from.step += from.growth;
  }
}

void read_triangle(const Block& b, int64_t panel, PanelTriangle* t) {
  const int64_t first = b.column(panel);
  const double* rows = b.row_of(panel, first);
  for (int64_t k = 0; k < kPanelColumns; k++) {
    for (int64_t c = 0; c < kPanelColumns; c++)
      t->column[k][c] = c > k && first + c < b.d ? rows[c * kPanelColumns + k] : 0.0;
    t->reciprocal[k] = first + k < b.d ? 1.0 / rows[k * kPanelColumns + k] : 0.0;
  }
}

// x in the columns behind k, y in the others: an fma of a zero would lose the sign of another.
EDGECL_INLINE dvec behind(int k, int at, dvec x, dvec y) {
  typedef int64_t Mask __attribute__((vector_size(EDGECL_VECTOR_BYTES)));
  Mask mask;
  for (int i = 0; i < kDoubles; i++) mask[i] = i + at > k ? -1 : 0;
  return mask ? x : y;
}

template <int kRows>
EDGECL_INLINE void divide_tile(const PanelTriangle& t, double* rows) {
  dvec acc[kRows][kPanelParts];
  EDGECL_UNROLL
  for (int r = 0; r < kRows; r++) {
    EDGECL_UNROLL
    for (int i = 0; i < kPanelParts; i++) acc[r][i] = dload(rows + r * kPanelColumns + i * kDoubles);
  }
  EDGECL_UNROLL
  for (int k = 0; k < kPanelColumns - 1; k++) {
    EDGECL_UNROLL
    for (int r = 0; r < kRows; r++) {
      const dvec x = dset(acc[r][k / kDoubles][k % kDoubles] * t.reciprocal[k]);
      EDGECL_UNROLL
      for (int i = k / kDoubles; i < kPanelParts; i++)
        acc[r][i] = behind(k, i * kDoubles, dfnma(x, dload(t.column[k] + i * kDoubles), acc[r][i]), acc[r][i]);
    }
  }
  EDGECL_UNROLL
  for (int r = 0; r < kRows; r++) {
    EDGECL_UNROLL
    for (int i = 0; i < kPanelParts; i++)
      dstore(rows + r * kPanelColumns + i * kDoubles, acc[r][i] * dload(t.reciprocal + i * kDoubles));
  }
}
void divide_rows(const PanelTriangle& t, double* rows, int64_t n) {
  constexpr int kTile = kShape.floats == 16 ? 8 : 4;
  for (; n >= kTile; n -= kTile, rows += kTile * kPanelColumns) divide_tile<kTile>(t, rows);
  for (; n > 0; n--, rows += kPanelColumns) divide_tile<1>(t, rows);
}

// Rows of a panel's own triangle have no values behind the diagonal.
void clear_above(const Block& b, int64_t panel, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < least(end, b.column(panel) + kPanelColumns); i++) {
    double* row = b.row_of(panel, i);
    for (int64_t c = i - b.column(panel) + 1; c < kPanelColumns; c++) row[c] = 0.0;
  }
}

// Rows [begin, end) of the block by the columns before it.
void update(const Block& b, int64_t begin, int64_t end, double* right) {
  for (int64_t k = 0; k < b.begin; k += kChain) {
    const int64_t n = least(b.begin - k, kChain);
    for (int64_t p = 0; p < b.panels(); p++) transpose_rows(b, b.column(p), k, n, right + p * kChain * kPanelColumns);
    for (int64_t row = begin; row < end; row += kStrip) {
      for (int64_t p = 0; p < b.panels(); p++) {
        const int64_t first = row < b.column(p) ? b.column(p) : row, last = least(row + kStrip, end);
        if (first >= last) break;
        subtract_rows(triangle_panels(b.matrix, first, k, b.d), right + p * kChain * kPanelColumns, n,
                      b.row_of(p, first), last - first);
      }
    }
  }
  for (int64_t p = 0; p < b.panels(); p++) clear_above(b, p, begin < b.column(p) ? b.column(p) : begin, end);
}

// The first eight rows of a panel; the index of a pivot that is too small, or -1.
int64_t factor_panel(const Block& b, int64_t panel, double floor) {
  double* m = b.row_of(panel, b.column(panel));
  const int64_t n = least(kPanelColumns, b.d - b.column(panel));
  for (int64_t j = 0; j < n; j++) {
    double reciprocal = 0;
    for (int64_t i = j; i < n; i++) {
      double acc = m[i * kPanelColumns + j];
      for (int64_t k = 0; k < j; k++)
        acc = fused_multiply_add(-m[i * kPanelColumns + k], m[j * kPanelColumns + k], acc);
      if (i == j) {
        if (!(acc > floor)) return b.column(panel) + j;
        acc = square_root(acc);
        reciprocal = 1.0 / acc;
      } else {
        acc *= reciprocal;
      }
      m[i * kPanelColumns + j] = acc;
    }
  }
  return -1;
}

int64_t factor_triangle(const Block& b, double floor, double* right) {
  for (int64_t p = 0; p < b.panels(); p++) {
    const int64_t first = b.column(p), done = p * kPanelColumns;
    if (p > 0) {
      transpose_rows(b, first, b.begin, done, right);
      subtract_rows(triangle_panels(b.matrix, first, b.begin, b.d), right, done, b.row_of(p, first), b.end - first);
      clear_above(b, p, first, b.end);
    }
    const int64_t failed = factor_panel(b, p, floor);
    if (failed >= 0) return failed;
    const int64_t below = first + kPanelColumns;
    if (below >= b.end) continue;
    PanelTriangle t;
    read_triangle(b, p, &t);
    divide_rows(t, b.row_of(p, below), b.end - below);
  }
  return -1;
}

// Rows [begin, end) below the block's triangle.
void divide_below(const Block& b, int64_t begin, int64_t end, double* right) {
  PanelTriangle* triangles = reinterpret_cast<PanelTriangle*>(right);
  right += kBlockPanels * sizeof(PanelTriangle) / sizeof(double);
  double* rows_of[kBlockPanels];
  for (int64_t p = 0; p < kBlockPanels; p++) {
    read_triangle(b, p, triangles + p);
    rows_of[p] = right;
    transpose_rows(b, b.column(p), b.begin, p * kPanelColumns, right);
    right += p * kPanelColumns * kPanelColumns;
  }
  for (int64_t row = begin; row < end; row += kStrip) {
    const int64_t n = least(kStrip, end - row);
    for (int64_t p = 0; p < kBlockPanels; p++) {
      double* c = b.row_of(p, row);
      subtract_rows(triangle_panels(b.matrix, row, b.begin, b.d), rows_of[p], p * kPanelColumns, c, n);
      divide_rows(triangles[p], c, n);
    }
  }
}

}  // namespace

void cholesky_factor(const CholeskyFactorArgs& a, int part, int n_parts, void* scratch) {
  const int64_t begin = int64_t{a.phase + 1} / 3 * kCholeskyBlock;
  const Block b = {a.matrix, a.d, begin, least(begin + kCholeskyBlock, a.d)};
  const Step step = static_cast<Step>((a.phase + 1) % 3);
  double* right = static_cast<double*>(scratch);
  if (step == kTriangle) {
    if (part != 0) return;
    if (begin == 0) *a.failed = -1;
    if (*a.failed < 0) *a.failed = static_cast<int32_t>(factor_triangle(b, a.floor, right));
    return;
  }
  if (*a.failed >= 0) return;
  const int64_t top = step == kUpdate ? b.begin : b.end;
  int64_t first, last;
  share((b.d - top + kStrip - 1) / kStrip, part, n_parts, &first, &last);
  first = top + first * kStrip;
  last = least(top + last * kStrip, b.d);
  if (first >= last) return;
  if (step == kUpdate) {
    update(b, first, last, right);
  } else {
    divide_below(b, first, last, right);
  }
}

}  // namespace edgecl::EDGECL_LEVEL
