// y += x or y = x over flat memory: scalar reference.
// Never here: broadcasting (binary.cpp).
#include "kernels/reference/common.h"

namespace edgecl::reference {

void accumulate(const AccumulateArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  for (int64_t i = s.begin; i < s.end; i++) a.y[i] = a.accumulate ? a.y[i] + a.x[i] : a.x[i];
}

}  // namespace edgecl::reference
