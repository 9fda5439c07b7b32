// y += x or y = x over flat memory.
// Never here: broadcasting (binary.cpp).
// Built for size (-Os): waits for memory.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {

void accumulate(const AccumulateArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  if (!a.accumulate) {
    if (end > begin) memmove(a.y + begin, a.x + begin, static_cast<size_t>(end - begin) * sizeof(float));
    return;
  }
  float* y = a.y;
  const float* x = a.x;
  store_flat(y, begin, end, [&](int64_t i) EDGECL_INLINE_LAMBDA { return vload(y + i) + vload(x + i); });
}

}  // namespace edgecl::EDGECL_LEVEL
