// Philox4x32-10: a counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
// Never here: global state, seeding from the clock, platform generators.
#ifndef EDGECL_RUNTIME_CORE_RNG_H_
#define EDGECL_RUNTIME_CORE_RNG_H_

#include <stdint.h>

namespace edgecl {

// One block: ten rounds of the paper's bijection (multipliers D2511F53, CD9E8D57; key increments 9E3779B9, BB67AE85).
inline void philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; round++) {
    const uint64_t p0 = static_cast<uint64_t>(0xD2511F53u) * c0;
    const uint64_t p1 = static_cast<uint64_t>(0xCD9E8D57u) * c2;
    const uint32_t n0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

// Uniform in [0, bound), bound >= 1, of the words that next() gives, without bias: multiply-shift with rejection
// (Lemire 2019, "Fast random integer generation in an interval"). Takes one word, rarely more.
template <class Next>
inline uint32_t bounded_of(uint32_t bound, Next next) {
  uint64_t product = static_cast<uint64_t>(next()) * bound;
  if (static_cast<uint32_t>(product) < bound) {
    const uint32_t threshold = (0u - bound) % bound;
    while (static_cast<uint32_t>(product) < threshold) product = static_cast<uint64_t>(next()) * bound;
  }
  return static_cast<uint32_t>(product >> 32);
}

// A sequence of 32-bit words: word i of (seed, stream) is word i % 4 of block i / 4, with key = seed and counter =
// (block, stream). Streams of one seed never overlap. The whole state is three integers, so saving it is copying it.
struct RandomStream {
  uint64_t seed;
  uint64_t stream;
  uint64_t position;  // words drawn so far

  // The four words of the block that `position` lies in.
  void block(uint32_t out[4]) const {
    const uint64_t number = position >> 2;
    const uint32_t counter[4] = {static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32),
                                 static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
    const uint32_t key[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
    philox4x32_10(counter, key, out);
  }

  uint32_t next_u32() {
    uint32_t out[4];
    block(out);
    return out[position++ & 3];
  }

  uint64_t next_u64() {
    const uint64_t low = next_u32();
    return low | static_cast<uint64_t>(next_u32()) << 32;
  }

  uint32_t bounded(uint32_t bound) {
    return bounded_of(bound, [this] { return next_u32(); });
  }

  // The same for 64-bit bounds (a reservoir that has seen more than 2^32 samples): rejection above the largest multiple
  // of `bound`.
  uint64_t bounded64(uint64_t bound) {
    if (bound <= 0xffffffffu) return bounded(static_cast<uint32_t>(bound));
    const uint64_t threshold = (0 - bound) % bound;
    uint64_t word = next_u64();
    while (word < threshold) word = next_u64();
    return word % bound;
  }

  // Uniform in [0, 1): a multiple of 2^-24.
  float next_float() { return static_cast<float>(next_u32() >> 8) * (1.0f / 16777216.0f); }
};

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_RNG_H_
