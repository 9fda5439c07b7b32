// Hamming distances of codes to exemplars.
// Never here: the counting of bits (popcount.h), the choice of the nearest.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/popcount.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

EDGECL_INLINE uvec load_words(const uint64_t* p) {
  uvec v;
  memcpy(&v, p, sizeof v);
  return v;
}

EDGECL_INLINE int32_t distance(const uint64_t* a, const uint64_t* b, int64_t words) {
  constexpr int kStep = static_cast<int>(sizeof(uvec) / sizeof(uint64_t));
  int32_t sum = 0;
  int64_t w = 0;
  while (w + kStep <= words) {
    int64_t end = w + kByteCounts * kStep;
    if (end > words) end = words - words % kStep;
    bvec counts = {};
    for (; w < end; w += kStep) counts += byte_counts(load_words(a + w) ^ load_words(b + w));
    sum += sum_of_bytes(counts);
  }
  for (; w < words; w++) sum += bits_set(a[w] ^ b[w]);
  return sum;
}

}  // namespace

void hd_hamming(const HdHammingArgs& a, int part, int n_parts, void*) {
  const int64_t words = a.bits / 64;
  int64_t begin, end;
  share(static_cast<int64_t>(a.rows) * a.n_exemplars, part, n_parts, &begin, &end);
  for (int64_t i = begin; i < end; i++)
    a.distance[i] = distance(a.codes + i / a.n_exemplars * words, a.exemplars + i % a.n_exemplars * words, words);
}

}  // namespace edgecl::EDGECL_LEVEL
