// Mean over height and width of an int8 tensor.
// Never here: windows.
// Built for size (-Os): waits for memory.
#include "kernels/simd/int8.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

void int8_mean(const Int8MeanArgs& a, int part, int n_parts, void*) {
  const Finish finish = finish_with(iset(a.multiplier), iset(a.shift), a.offset, -128, 127);
  const int64_t channels = a.x.channels, positions = static_cast<int64_t>(a.x.height) * a.x.width;
  const int64_t blocks = (channels + kVec - 1) / kVec;
  int64_t i, end;
  share(a.x.rows * blocks, part, n_parts, &i, &end);
  for (; i < end; i++) {
    const int64_t row = i / blocks, c = i % blocks * kVec;
    const int8_t* x = a.x.data + row * positions * channels + c;
    ivec sum = iset(a.start);
    for (int64_t p = 0; p < positions; p++) sum = sum + load_int8(x + p * channels);
    finish(sum, a.y.data + row * channels + c, static_cast<int>(channels - c < kVec ? channels - c : kVec));
  }
}

}  // namespace edgecl::EDGECL_LEVEL
