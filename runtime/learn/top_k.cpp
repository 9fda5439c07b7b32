// Radix selection: non-negative floats order as their bit patterns do.
// Never here: sorting.
#include "runtime/learn/top_k.h"

#include <string.h>

namespace edgecl {
namespace {

uint32_t bits_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits & 0x7fffffffu;  // -0 counts as 0
}

// The k-th largest magnitude as bits, and how many of the entries equal to it are among the k.
struct Threshold {
  uint32_t bits, n_equal;
};

Threshold threshold_of(const float* scores, uint32_t n, uint32_t k) {
  uint32_t prefix = 0, mask = 0, left = k;  // of the entries that match `prefix` under `mask`, the `left` largest
  for (int shift = 24; shift >= 0; shift -= 8) {
    uint32_t count[256] = {};
    for (uint32_t i = 0; i < n; i++) {
      const uint32_t bits = bits_of(scores[i]);
      if ((bits & mask) == prefix) count[bits >> shift & 255]++;
    }
    uint32_t digit = 255;
    while (count[digit] < left) left -= count[digit--];
    prefix |= digit << shift;
    mask |= 255u << shift;
  }
  return {prefix, left};
}

}  // namespace

void mark_largest(const float* scores, uint32_t n, uint32_t k, uint8_t* mark) {
  if (k >= n || k == 0) {
    memset(mark, k == 0 ? 0 : 1, n);
    return;
  }
  Threshold at = threshold_of(scores, n, k);
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t bits = bits_of(scores[i]);
    const bool tie = bits == at.bits && at.n_equal > 0;
    at.n_equal -= tie;
    mark[i] = bits > at.bits || tie;
  }
}

}  // namespace edgecl
