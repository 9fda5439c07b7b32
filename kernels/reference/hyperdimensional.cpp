// Hyperdimensional codes: scalar reference of encoding, bundling, counting and comparing.
// Never here: the hash and the sizes of transforms (kernels/hyperdimensional.h).
#include "kernels/reference/common.h"

namespace edgecl {

uint64_t ScratchTable::hd_encode_scratch_bytes(const HdEncodeArgs& a) const {
  return 2 * sizeof(int32_t) * static_cast<uint64_t>(hd_block(a.width));
}

}  // namespace edgecl

namespace edgecl::reference {
namespace {

bool hash_bit(uint64_t stream, int64_t i) {
  return (hd_word(stream, static_cast<uint64_t>(i / 64)) >> (i % 64)) & 1;
}

// Fast Walsh-Hadamard transform in place, natural order.
void transform(int32_t* x, int32_t n) {
  for (int32_t stride = n / 2; stride > 0; stride /= 2)
    for (int32_t i = 0; i < n; i++)
      if ((i & stride) == 0) {
        const int32_t a = x[i], b = x[i + stride];
        x[i] = a + b;
        x[i + stride] = a - b;
      }
}

}  // namespace

void hd_encode(const HdEncodeArgs& a, int part, int n_parts, void* scratch) {
  const int32_t block = hd_block(a.width), shift = hd_shift(block);
  const uint64_t first = hd_stream(a.seed, HdPurpose::kFirstSigns, a.layer),
                 signs = hd_stream(a.seed, HdPurpose::kBlockSigns, a.layer);
  int32_t *y = static_cast<int32_t*>(scratch), *z = y + block;
  const Share rows = share_of(a.rows, part, n_parts);
  for (int64_t r = rows.begin; r < rows.end; r++) {
    const int16_t* x = a.features + r * a.width;
    uint64_t* code = a.codes + r * (a.bits / 64);
    for (int32_t j = 0; j < block; j++) y[j] = j >= a.width ? 0 : hash_bit(first, j) ? -x[j] : x[j];
    transform(y, block);
    for (int32_t m = 0; shift > 0 && m < block; m++) y[m] = (y[m] + (1 << (shift - 1))) >> shift;
    for (int32_t begin = 0; begin < a.bits; begin += block) {
      for (int32_t m = 0; m < block; m++) z[m] = hash_bit(signs, begin + m) ? -y[m] : y[m];
      transform(z, block);
      for (int32_t i = begin; i < a.bits && i < begin + block; i += 64) {
        uint64_t word = 0;
        for (int k = 0; k < 64; k++) {
          const int32_t sum = z[i - begin + k];
          const bool bit = sum != 0 ? sum > 0 : hash_bit(signs, i + k);
          word |= static_cast<uint64_t>(bit) << k;
        }
        code[i / 64] = word;
      }
    }
  }
}

}  // namespace edgecl::reference
