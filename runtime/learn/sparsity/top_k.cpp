// Radix selection: non-negative floats order as their bit patterns do.
// Never here: sorting.
#include "runtime/learn/sparsity/top_k.h"

#include <string.h>

namespace edgecl {
namespace {

uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffffu;  // -0 counts as 0
}

typedef uint32_t Words __attribute__((vector_size(16)));

// The k-th largest magnitude as bits, and how many of the entries equal to it are among the k.
struct Threshold {
  uint32_t bits, n_equal;
};

// Bits of a digit. 11 take the exponent and three bits more at first, so that few entries share a counter and few are
// left for the other digits; but their counters are 8 KiB of stack, which a firmware has not.
#if __STDC_HOSTED__
constexpr int kDigitBits = 11;
#else
constexpr int kDigitBits = 8;
#endif

Threshold threshold_of(const float* scores, uint32_t n, uint32_t k) {
  uint32_t prefix = 0, mask = 0, left = k;  // of the entries that match `prefix` under `mask`, the `left` largest
  for (int above = 31, shift = 0; above > 0; above = shift) {
    shift = above > kDigitBits ? above - kDigitBits : 0;
    const uint32_t top = (1u << (above - shift)) - 1;
    uint32_t count[1 << kDigitBits] = {};
    uint32_t i = 0;
    for (; above < 31 && i + 4 <= n; i += 4) {  // most vectors hold none
      Words four;
      memcpy(&four, scores + i, sizeof four);
      const Words match = static_cast<Words>((four & mask) == prefix);
      uint64_t any[2];
      memcpy(any, &match, sizeof any);
      if ((any[0] | any[1]) == 0) continue;
      for (int lane = 0; lane < 4; lane++)
        if (match[lane] != 0) count[four[lane] >> shift & top]++;
    }
    for (; i < n; i++) {
      const uint32_t bits = bits_of(scores[i]);
      if ((bits & mask) == prefix) count[bits >> shift & top]++;
    }
    uint32_t digit = top;
    while (count[digit] < left) left -= count[digit--];
    prefix |= digit << shift;
    mask |= top << shift;
  }
  return {prefix, left};
}

}  // namespace

void mark_largest(const float* scores, uint32_t n, uint32_t k, uint8_t* mark) {
  if (k >= n || k == 0) {
    memset(mark, k == 0 ? 0 : 1, n);
    return;
  }
  const Threshold at = threshold_of(scores, n, k);
  uint32_t n_equal = at.n_equal;
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t bits = bits_of(scores[i]);
    const uint32_t tie = bits == at.bits && n_equal > 0 ? 1 : 0;
    n_equal -= tie;
    mark[i] = static_cast<uint8_t>((bits > at.bits ? 1 : 0) | tie);
  }
}

}  // namespace edgecl
