// Counters of codes: adding and removing codes, and the signs of the counters as a code.
// Built for size (-Os): a microsecond.
// Never here: bundling of layers (hd_bundle.cpp).
#include "kernels/kernel_declarations.h"
#include "kernels/simd/bits.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {

// Counts the clear bits of a half word of all rows in registers: c of them change a counter by rows - 2 c.
void hd_accumulate(const HdAccumulateArgs& a, int part, int n_parts, void*) {
  constexpr int kCount = 32 / kVec;
  const int64_t pitch = a.bits / 32;
  int64_t begin, end;
  share(pitch, part, n_parts, &begin, &end);
  for (int64_t h = begin; h < end; h++) {
    uvec32 clear[kCount] = {};
    for (int64_t r = 0; r < a.rows; r++) {
      const uint64_t word = a.codes[(r * pitch + h) / 2];
      const ivec bits = iset(static_cast<int32_t>(h % 2 ? word >> 32 : word));
      EDGECL_UNROLL
      for (int i = 0; i < kCount; i++) clear[i] -= (uvec32)((bits & lane_bits(i * kVec)) == 0);
    }
    const uint32_t rows = static_cast<uint32_t>(a.rows);
    EDGECL_UNROLL
    for (int i = 0; i < kCount; i++) {
      int32_t* counters = a.counters + h * 32 + i * kVec;
      const uvec32 change = rows - 2 * clear[i], old = (uvec32)iload(counters);
      istore(counters, (ivec)(a.subtract ? old - change : old + change));
    }
  }
}

void hd_signs(const HdSignsArgs& a, int part, int n_parts, void*) {
  const uint64_t ties = hd_stream(a.seed, HdPurpose::kCounterTies, 0), words = static_cast<uint64_t>(a.bits / 64);
  int64_t begin, end;
  share(a.rows * static_cast<int64_t>(words), part, n_parts, &begin, &end);
  for (int64_t w = begin; w < end; w++)
    a.codes[w] = positive_lanes(a.counters + w * 64, [&] { return hd_word(ties, static_cast<uint64_t>(w) % words); });
}

}  // namespace edgecl::EDGECL_LEVEL
