// Addition of two int8 tensors.
// Never here: broadcasting.
// Built for size (-Os): few per cent of a network.
#include "kernels/simd/int8.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

void int8_add(const Int8AddArgs& a, int part, int n_parts, void*) {
  const Scale of_a = scale_of(iset(a.multiplier[0]), iset(a.shift[0])),
              of_b = scale_of(iset(a.multiplier[1]), iset(a.shift[1]));
  const Finish finish = finish_with(iset(a.multiplier[2]), iset(a.shift[2]), a.y.zero_point, a.lo, a.hi);
  const ivec zero_a = iset(a.a.zero_point), zero_b = iset(a.b.zero_point);
  const int8_t *from_a = a.a.data, *from_b = a.b.data;
  int8_t* const to = a.y.data;
  int64_t i, end;
  share(a.y.size(), part, n_parts, &i, &end);
  for (; i < end; i += kVec) {
    const ivec sum = requantize((load_int8(from_a + i) - zero_a) << 20, of_a) +
                     requantize((load_int8(from_b + i) - zero_b) << 20, of_b);
    finish(sum, to + i, static_cast<int>(end - i < kVec ? end - i : kVec));
  }
}

}  // namespace edgecl::EDGECL_LEVEL
