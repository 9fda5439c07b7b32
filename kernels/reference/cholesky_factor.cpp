// Cholesky factor by blocks of columns (Golub and Van Loan, Matrix Computations, 4.2): scalar reference.
// Never here: what to do about a pivot that is too small.
#include "kernels/plan/moments_plan.h"
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

// The chain of entry (i, j), carried on over the columns [begin, end).
void subtract_products(const CholeskyFactorArgs& a, int64_t i, int64_t j, int64_t begin, int64_t end) {
  double acc = a.matrix[moments_at(i, j, a.d)];
  for (int64_t k = begin; k < end; k++)
    acc = fused(-a.matrix[moments_at(i, k, a.d)], a.matrix[moments_at(j, k, a.d)], acc);
  a.matrix[moments_at(i, j, a.d)] = acc;
}

void factor_triangle(const CholeskyFactorArgs& a, int64_t begin, int64_t end) {
  for (int64_t j = begin; j < end; j++) {
    subtract_products(a, j, j, begin, j);
    double* pivot = a.matrix + moments_at(j, j, a.d);
    if (!(*pivot > a.floor)) {
      *a.failed = static_cast<int32_t>(j);
      return;
    }
    *pivot = square_root(*pivot);
    for (int64_t i = j + 1; i < end; i++) {
      subtract_products(a, i, j, begin, j);
      a.matrix[moments_at(i, j, a.d)] *= 1.0 / *pivot;
    }
  }
}

}  // namespace

void cholesky_factor(const CholeskyFactorArgs& a, int part, int n_parts, void*) {
  enum { kUpdate, kTriangle, kBelow };
  const int64_t begin = (a.phase + 1) / 3 * kCholeskyBlock, end = plan::least(begin + kCholeskyBlock, a.d);
  const int step = (a.phase + 1) % 3;
  if (step == kTriangle) {
    if (part != 0) return;
    if (begin == 0) *a.failed = -1;
    if (*a.failed < 0) factor_triangle(a, begin, end);
    return;
  }
  if (*a.failed >= 0) return;
  const int64_t first = step == kUpdate ? begin : end;
  const Share rows = share_of(a.d - first, part, n_parts);
  for (int64_t i = first + rows.begin; i < first + rows.end; i++) {
    for (int64_t j = begin; j < end && j <= i; j++) {
      if (step == kUpdate) {
        subtract_products(a, i, j, 0, begin);
      } else {
        subtract_products(a, i, j, begin, j);
        a.matrix[moments_at(i, j, a.d)] *= 1.0 / a.matrix[moments_at(j, j, a.d)];
      }
    }
  }
}

}  // namespace edgecl::reference
