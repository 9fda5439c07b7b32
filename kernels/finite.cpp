// all_finite: whether a tensor holds only finite numbers. Works on the bit patterns, in vectors that every compiler has.
// Never here: arithmetic on the floats, and anything that depends on the instruction-set level.
#include <string.h>

#include "kernels/kernels.h"

namespace edgecl {
namespace {

constexpr uint32_t kExponent = 0x7f800000u;
constexpr int64_t kBlock = 4096;  // floats between two looks at the result: a bad tensor is refused early

// 1 in the top bit of the answer when some exponent field is all ones: (x & exponent) + (1 << 23) carries into bit 31.
uint32_t overflow_of_exponents(const float* x, int64_t n) {
  typedef uint32_t Words __attribute__((vector_size(16)));
  Words vectors = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Words a, b, c, d;
    memcpy(&a, x + i, sizeof a);
    memcpy(&b, x + i + 4, sizeof b);
    memcpy(&c, x + i + 8, sizeof c);
    memcpy(&d, x + i + 12, sizeof d);
    vectors |= ((a & kExponent) + 0x00800000u) | ((b & kExponent) + 0x00800000u);
    vectors |= ((c & kExponent) + 0x00800000u) | ((d & kExponent) + 0x00800000u);
  }
  uint32_t seen = vectors[0] | vectors[1] | vectors[2] | vectors[3];
  for (; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    seen |= (bits & kExponent) + 0x00800000u;
  }
  return seen;
}

}  // namespace

bool all_finite(const float* x, int64_t n) {
  for (int64_t i = 0; i < n; i += kBlock) {
    const int64_t count = n - i < kBlock ? n - i : kBlock;
    if (overflow_of_exponents(x + i, count) >> 31) return false;
  }
  return true;
}

}  // namespace edgecl
