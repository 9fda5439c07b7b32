// Addition of two int8 tensors.
// Never here: broadcasting.
// Built for size (-Os): few per cent of a network.
#include "kernels/simd/int8.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

void int8_add(const Int8AddArgs& a, int part, int n_parts, void*) {
  const Scale of_a = scale_of(iset(a.multiplier[0]), iset(a.shift[0])),
              of_b = scale_of(iset(a.multiplier[1]), iset(a.shift[1])),
              of_y = scale_of(iset(a.multiplier[2]), iset(a.shift[2]));
  int64_t i, end;
  share(a.y.size(), part, n_parts, &i, &end);
  for (; i < end; i += kVec) {
    const ivec x = add_wrapping(requantize((load_int8(a.a.data + i) - a.a.zero_point) << 20, of_a),
                                requantize((load_int8(a.b.data + i) - a.b.zero_point) << 20, of_b));
    const ivec y = clamp_moved(requantize(x, of_y), a.y.zero_point, a.lo, a.hi);
    store_int8(a.y.data + i, y, static_cast<int>(end - i < kVec ? end - i : kVec));
  }
}

}  // namespace edgecl::EDGECL_LEVEL
