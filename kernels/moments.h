// Argument structs of the kernels behind heads that keep sufficient statistics: quantised rows, second moments, their
// covariance, its Cholesky factor and solutions.
// Never here: kernels, and anything that knows of classes or heads.
#ifndef EDGECL_KERNELS_MOMENTS_H_
#define EDGECL_KERNELS_MOMENTS_H_

#include <stdint.h>

namespace edgecl {

// --- the packed lower triangle of a symmetric matrix ---------------------------------------------------------------
// Column panels of kPanelColumns: panel p holds columns 8p to 8p+7 of rows 8p to d-1, row by row, the values of a row
// side by side; the panels follow each other. So a row of a panel is one 64-byte line of int64 or double. What belongs
// to no entry of the triangle (above the diagonal, and columns from d on) is zero and stays so: 4 values a row of the
// matrix at most, and triangles may be added and compared as flat arrays.
constexpr int kPanelColumns = 8;

// Values in front of a panel; of the whole triangle; place of entry (i, j), j <= i.
__attribute__((always_inline)) inline int64_t moments_panel(int64_t panel, int64_t d) {
  return kPanelColumns * panel * (d - kPanelColumns / 2 * (panel - 1));
}
__attribute__((always_inline)) inline int64_t moments_size(int64_t d) {
  return moments_panel((d + kPanelColumns - 1) / kPanelColumns, d);
}
__attribute__((always_inline)) inline int64_t moments_at(int64_t i, int64_t j, int64_t d) {
  const int64_t panel = j / kPanelColumns;
  return moments_panel(panel, d) + (i - panel * kPanelColumns) * kPanelColumns + j % kPanelColumns;
}

// Sums of integers are kept modulo 2^64. So they form a group: whatever was added can be taken back, in any order, even
// where rows that were never learned were taken out again and again.
__attribute__((always_inline)) inline int64_t modular_sum(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

// q = x * scale (one rounded product), rounded to the nearest integer, ties to even, then limited to
// +-kQuantizedLimit: eight products of two such numbers fit in 31 bits. x has no NaN. Parts split the rows.
constexpr int kQuantizedLimit = 16383;
struct QuantizeRowsArgs {
  const float* x;      // [n][d]
  int16_t* q;          // [n][d]
  int32_t* saturated;  // [n]: how many values of a row were limited
  int32_t n, d;
  float scale;
};

// sum[i] += or -= q[i], modulo 2^64, and *square = the sum of q[i]^2. Part 0 does it all.
struct SumRowArgs {
  const int16_t* q;  // [d], of magnitude at most kQuantizedLimit
  int64_t* sum;      // [d]
  int64_t* square;
  int32_t d;
  bool subtract;
};

// moments(i, j) += or -= the sum over r of q[r][i] * q[r][j], modulo 2^64. Exact, in any order: integers.
constexpr int kMomentRows = 32;
struct MomentsUpdateArgs {
  const int16_t* q;  // [n][d], each within +-kQuantizedLimit
  int64_t* moments;  // packed
  int32_t n, d;      // 1 <= n <= kMomentRows
  bool subtract;
};

// c(i, j) = alpha * moments(i, j), a rounded product of the rounded integer; then for v ascending c = fma(-sums[v][i],
// weight[v] * sums[v][j] (rounded), c); at last ridge is added where i == j. Within-class scatter has the class sums
// and weights 1 / n of each class; a centred total has one vector, the sum of all, and the weight 1 / n.
struct MomentsToCovarianceArgs {
  const int64_t* moments;  // packed
  double* covariance;      // packed, overwritten
  const int64_t* sums;     // [k][d]; each is rounded to a double once
  const double* weight;    // [k]
  int32_t k, d;            // k may be 0
  double alpha, ridge;     // alpha >= 0
};

// L with L L^T = the matrix, in place, by blocks of kCholeskyBlock columns. Entry (i, j) is one chain: from the
// matrix's, acc = fma(-L(i, k), L(j, k), acc) for k = 0 to j-1; then L(j, j) = sqrt(acc), and L(i, j) = acc * (1 / L(j,
// j)), the reciprocal rounded. A pivot acc that is not above `floor` (>= 0) ends it: its index is in *failed, what
// follows does nothing, and the matrix holds nothing of use.
// The caller runs all parts of phase 0, then all of phase 1, and so on below cholesky_phases(d).
constexpr int kCholeskyBlock = 64;
struct CholeskyFactorArgs {
  double* matrix;  // packed
  int32_t d, phase;
  double floor;
  int32_t* failed;  // set by phase 0: -1 as long as all is well
};
// Of each block: update by the columns before it (not of the first), its triangle (by part 0 alone), the rows below
// (not of the last).
__attribute__((always_inline)) inline int32_t cholesky_phases(int32_t d) {
  return 3 * ((d + kCholeskyBlock - 1) / kCholeskyBlock) - 2;
}

// Each column of b in place: L y = b by y[i] = acc * (1 / L(i, i)), acc = fma(-L(i, k), y[k], acc) from b[i], k = 0 to
// i-1; then, unless forward_only, L^T w = y the same way with fma(-L(k, i), w[k], acc), k = d-1 down to i+1.
// Parts split the columns.
struct CholeskySolveArgs {
  const double* factor;  // packed
  double* b;             // [d][columns]
  int32_t d, columns;
  bool forward_only;
};

}  // namespace edgecl

#endif  // EDGECL_KERNELS_MOMENTS_H_
