// Floats to 15-bit integers, ties to even: scalar reference.
// Never here: the choice of the scale.
#include "kernels/reference/common.h"

namespace edgecl::reference {

void quantize_rows(const QuantizeRowsArgs& a, int part, int n_parts, void*) {
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: the sum has no bits below 1
  const float limit = static_cast<float>(kQuantizedLimit);
  const Share rows = share_of(a.n, part, n_parts);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    int32_t saturated = 0;
    for (int64_t i = 0; i < a.d; i++) {
      const float y = a.x[r * a.d + i] * a.scale;
      if (y >= limit + 0.5f || y <= -limit - 0.5f) saturated++;  // these round beyond the limit, to the even neighbour
      a.q[r * a.d + i] = static_cast<int16_t>(smaller(larger(y, -limit), limit) + kRound - kRound);
    }
    a.saturated[r] = saturated;
  }
}

}  // namespace edgecl::reference
