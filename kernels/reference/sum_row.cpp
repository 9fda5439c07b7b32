// Integers of a row into sums, and the sum of their squares: scalar reference.
// Never here: whose sums they are.
#include "kernels/reference/common.h"

namespace edgecl::reference {

void sum_row(const SumRowArgs& a, int part, int, void*) {
  if (part > 0) return;
  int64_t square = 0;
  for (int64_t i = 0; i < a.d; i++) {
    const int64_t q = a.q[i];
    square += q * q;
    a.sum[i] = modular_sum(a.sum[i], a.subtract ? -q : q);
  }
  *a.square = square;
}

}  // namespace edgecl::reference
