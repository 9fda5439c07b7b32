// Hyperdimensional codes: scalar reference of encoding, bundling, counting and comparing.
// Never here: the hash and the sizes of transforms (kernels/hyperdimensional.h).
#include "kernels/reference/common.h"

namespace edgecl {

uint64_t ScratchTable::hd_encode_scratch_bytes(const HdEncodeArgs& a) const {
  return 2 * sizeof(int32_t) * static_cast<uint64_t>(hd_block(a.width));
}
uint64_t ScratchTable::hd_hamming_scratch_bytes(const HdHammingArgs&) const {
  return 0;
}

}  // namespace edgecl

namespace edgecl::reference {
namespace {

bool bit_of(uint64_t word, int64_t i) {
  return (word >> (i % 64)) & 1;
}
// The word whose bit k is 1 where value(k) > 0, or where it is 0 and bit k of `ties` is set.
template <class Value>
uint64_t signs_of(Value value, uint64_t ties) {
  uint64_t word = 0;
  for (int k = 0; k < 64; k++) {
    const int32_t v = value(k);
    word |= static_cast<uint64_t>(v != 0 ? v > 0 : bit_of(ties, k)) << k;
  }
  return word;
}

// By sums of neighbours in fields of 2, 4 and 8 bits (Warren 2012, "Hacker's Delight", 5-1).
int32_t bits_set(uint64_t x) {
  x -= (x >> 1) & 0x5555555555555555u;
  x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
  x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
  return static_cast<int32_t>((x * 0x0101010101010101u) >> 56);
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

// to = signs * from, the signs being those of `stream` from word `first` on.
void change_signs(const int32_t* from, int32_t* to, int32_t n, uint64_t stream, uint64_t first) {
  uint64_t word = 0;
  for (int32_t i = 0; i < n; i++) {
    if (i % 64 == 0) word = hd_word(stream, first + static_cast<uint64_t>(i / 64));
    to[i] = bit_of(word, i) ? -from[i] : from[i];
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
    for (int32_t j = 0; j < block; j++) y[j] = j < a.width ? a.features[r * a.width + j] : 0;
    change_signs(y, y, block, first, 0);
    transform(y, block);
    for (int32_t m = 0; shift > 0 && m < block; m++) y[m] = (y[m] + (1 << (shift - 1))) >> shift;
    for (int32_t begin = 0; begin < a.bits; begin += block) {
      change_signs(y, z, block, signs, static_cast<uint64_t>(begin / 64));
      transform(z, block);
      for (int32_t i = 0; i < block && begin + i < a.bits; i += 64) {
        const int64_t word = (begin + i) / 64;
        a.codes[r * (a.bits / 64) + word] =
            signs_of([&](int k) { return z[i + k]; }, hd_word(signs, static_cast<uint64_t>(word)));
      }
    }
  }
}

void hd_bundle_majority(const HdBundleArgs& a, int part, int n_parts, void*) {
  const int64_t words = a.bits / 64;
  const Share share = share_of(a.rows * words, part, n_parts);
  for (int64_t i = share.begin; i < share.end; i++) {
    const uint64_t place = static_cast<uint64_t>(i % words);
    uint64_t code[kHdMaxLayers];
    for (int32_t l = 0; l < a.n_layers; l++)
      code[l] = a.codes[l][i] ^ (a.bind ? hd_word(hd_stream(a.seed, HdPurpose::kLayerKey, a.layer[l]), place) : 0);
    const auto votes = [&](int k) {
      int32_t sum = 0;
      for (int32_t l = 0; l < a.n_layers; l++) sum += bit_of(code[l], k) ? 1 : -1;
      return sum;
    };
    a.bundle[i] = signs_of(votes, hd_word(hd_stream(a.seed, HdPurpose::kBundleTies, 0), place));
  }
}

void hd_accumulate(const HdAccumulateArgs& a, int part, int n_parts, void*) {
  const Share places = share_of(a.bits, part, n_parts);
  for (int64_t i = places.begin; i < places.end; i++) {
    uint32_t sum = static_cast<uint32_t>(a.counters[i]);
    for (int64_t r = 0; r < a.rows; r++) sum += bit_of(a.codes[r * (a.bits / 64) + i / 64], i) != a.subtract ? 1u : ~0u;
    a.counters[i] = static_cast<int32_t>(sum);
  }
}

void hd_signs(const HdSignsArgs& a, int part, int n_parts, void*) {
  const uint64_t ties = hd_stream(a.seed, HdPurpose::kCounterTies, 0);
  const int64_t words = a.bits / 64;
  const Share share = share_of(a.rows * words, part, n_parts);
  for (int64_t i = share.begin; i < share.end; i++)
    a.codes[i] =
        signs_of([&](int k) { return a.counters[i * 64 + k]; }, hd_word(ties, static_cast<uint64_t>(i % words)));
}

void hd_hamming(const HdHammingArgs& a, int part, int n_parts, void*) {
  const int64_t words = a.bits / 64;
  const Share pairs = share_of(static_cast<int64_t>(a.rows) * a.n_exemplars, part, n_parts);
  for (int64_t i = pairs.begin; i < pairs.end; i++) {
    const uint64_t *code = a.codes + i / a.n_exemplars * words, *exemplar = a.exemplars + i % a.n_exemplars * words;
    int32_t sum = 0;
    for (int64_t w = 0; w < words; w++) sum += bits_set(code[w] ^ exemplar[w]);
    a.distance[i] = sum;
  }
}

}  // namespace edgecl::reference
