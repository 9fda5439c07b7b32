// Solutions of L L^T w = b by substitution (Golub and Van Loan, Matrix Computations, 3.1): scalar reference.
// Never here: the factor.
#include "kernels/reference/common.h"

namespace edgecl::reference {

void cholesky_solve(const CholeskySolveArgs& a, int part, int n_parts, void*) {
  const Share mine = share_of(a.columns, part, n_parts);
  for (int64_t c = mine.begin; c < mine.end; c++) {
    double* y = a.b + c;
    for (int64_t i = 0; i < a.d; i++) {
      double acc = y[i * a.columns];
      for (int64_t k = 0; k < i; k++) acc = fused(-a.factor[moments_at(i, k, a.d)], y[k * a.columns], acc);
      y[i * a.columns] = acc * (1.0 / a.factor[moments_at(i, i, a.d)]);
    }
    for (int64_t i = a.forward_only ? -1 : a.d - 1; i >= 0; i--) {
      double acc = y[i * a.columns];
      for (int64_t k = a.d - 1; k > i; k--) acc = fused(-a.factor[moments_at(k, i, a.d)], y[k * a.columns], acc);
      y[i * a.columns] = acc * (1.0 / a.factor[moments_at(i, i, a.d)]);
    }
  }
}

}  // namespace edgecl::reference
