// Floats to 15-bit integers, ties to even, and how many of a row were out of range.
// Never here: the choice of the scale.
// Built for size (-Os): each value meets d multiply-adds afterwards.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/simd.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

void quantize_rows(const QuantizeRowsArgs& a, int part, int n_parts, void*) {
  typedef int16_t Shorts __attribute__((vector_size(EDGECL_VECTOR_BYTES / 2)));
  const vec round = vset(12582912.0f);  // 1.5 * 2^23: the sum has no bits below 1
  const vec limit = vset(static_cast<float>(kQuantizedLimit)), beyond = limit + vset(0.5f), scale = vset(a.scale);
  int64_t row, end;
  share(a.n, part, n_parts, &row, &end);
  for (; row < end; row++) {
    ivec saturated = {};
    const auto quantized = [&](const vec& y) EDGECL_INLINE_LAMBDA {
      saturated = saturated - ((y >= beyond) | (y <= -beyond));
      const vec whole = vmin(vmax(y, -limit), limit) + round - round;
      return __builtin_convertvector(__builtin_convertvector(whole, ivec), Shorts);
    };
    const float* x = a.x + row * a.d;
    int16_t* to = a.q + row * a.d;
    int64_t i = 0;
    for (; i + kVec <= a.d; i += kVec) {
      const Shorts q = quantized(vload(x + i) * scale);
      memcpy(to + i, &q, sizeof q);
    }
    if (i < a.d) {
      const int count = static_cast<int>(a.d - i);
      const Shorts q = quantized(vload_n(x + i, count) * scale);
      memcpy(to + i, &q, static_cast<size_t>(count) * sizeof(int16_t));
    }
    int32_t sum = 0;
    for (int i = 0; i < kVec; i++) sum += saturated[i];
    a.saturated[row] = sum;
  }
}

}  // namespace edgecl::EDGECL_LEVEL
