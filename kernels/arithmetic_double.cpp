// Exact fused multiply-add and square root of doubles in integers, for chips without instructions.
// Never here: the choice between these and an instruction (arithmetic.h).
#include <stdint.h>
#include <string.h>

#include "kernels/arithmetic.h"

namespace edgecl {
namespace {

constexpr int kFractionBits = 52;
constexpr int kInfinite = 0x7ff;  // exponent field of infinities and NaN
constexpr uint64_t kHidden = 1ull << kFractionBits;

uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
double double_of(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
int field(double x) {
  return static_cast<int>(bits_of(x) >> kFractionBits) & kInfinite;
}

// |x| = mantissa * 2^exponent, the mantissa with its bit 52 set; x finite and not 0.
struct Parts {
  uint64_t mantissa;
  int exponent;
};
Parts parts_of(double x) {
  Parts p = {bits_of(x) & (kHidden - 1), field(x)};
  if (p.exponent == 0) {
    const int shift = __builtin_clzll(p.mantissa) - (63 - kFractionBits);
    p.mantissa <<= shift;
    p.exponent = 1 - shift;
  } else {
    p.mantissa |= kHidden;
  }
  p.exponent -= 1023 + kFractionBits;
  return p;
}

struct Wide {  // 128 bits; 32-bit targets have no such type
  uint64_t high, low;
};
Wide product(uint64_t a, uint64_t b) {
  const uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const uint64_t middle = a1 * b0 + (a0 * b0 >> 32), other = a0 * b1 + (middle & 0xffffffffu);
  return {a1 * b1 + (middle >> 32) + (other >> 32), a * b};
}
Wide shifted_left(Wide x, int n) {  // 0 to 127
  if (n >= 64) return {x.low << (n - 64), 0};
  return n == 0 ? x : Wide{x.high << n | x.low >> (64 - n), x.low << n};
}
// Bits that fall off are kept as one in the last place: it decides a rounding, and no more than that is asked of it.
Wide shifted_right(Wide x, int n) {
  if (n > 127) return {0, (x.high | x.low) != 0 ? 1u : 0u};
  if (n >= 64) {
    const bool lost = x.low != 0 || (n > 64 && x.high << (128 - n) != 0);
    return {0, x.high >> (n - 64) | (lost ? 1u : 0u)};
  }
  return n == 0 ? x : Wide{x.high >> n, x.high << (64 - n) | x.low >> n | (x.low << (64 - n) != 0 ? 1u : 0u)};
}
bool less(Wide a, Wide b) {
  return a.high < b.high || (a.high == b.high && a.low < b.low);
}

// (-1)^negative * x * 2^exponent rounded to nearest, ties to even; x is not 0.
double rounded(bool negative, Wide x, int exponent) {
  const int zeros = x.high != 0 ? __builtin_clzll(x.high) : 64 + __builtin_clzll(x.low);
  x = shifted_left(x, zeros);
  exponent += 127 - zeros;  // of the top bit
  int drop = 127 - kFractionBits;
  if (exponent < -1022) drop += -1022 - exponent;  // fewer bits remain of a number below the normal ones
  const Wide kept = shifted_right(x, drop - 2);    // two bits more: a half, and whether there is anything behind it
  uint64_t mantissa = kept.low >> 2;
  const uint64_t rest = kept.low & 3;
  if (rest == 3 || (rest == 2 && (mantissa & 1) != 0)) mantissa++;
  const uint64_t sign = negative ? 1ull << 63 : 0;
  if (exponent > 1023) return double_of(sign | static_cast<uint64_t>(kInfinite) << kFractionBits);
  // A mantissa that grew by a bit carries into the exponent, up to infinity: that is the right number.
  const uint64_t biased = exponent < -1022 ? 0 : static_cast<uint64_t>(exponent + 1022) << kFractionBits;
  return double_of(sign | (biased + mantissa));
}

}  // namespace

// The product has at most 106 bits; it is moved up to bit 125 at most, so that a sum has room. Of two numbers so far
// apart that one falls off, the lost part stays as one bit in the last place, far below what a double keeps.
double fused_by_parts(double a, double b, double c) {
  if (field(a) == kInfinite || field(b) == kInfinite || field(c) == kInfinite) {
    // An overflow of a finite product must not meet an infinite c.
    return field(a) == kInfinite || field(b) == kInfinite ? a * b + c : c;
  }
  if (a == 0 || b == 0) return a * b + c;
  const bool negative = ((bits_of(a) ^ bits_of(b)) >> 63) != 0;
  const Parts x = parts_of(a), y = parts_of(b);
  constexpr int kUp = 19;
  Wide p = shifted_left(product(x.mantissa, y.mantissa), kUp);  // its top bit is 123 or 124
  int exponent = x.exponent + y.exponent - kUp;
  if (c == 0) return rounded(negative, p, exponent);
  const bool c_negative = bits_of(c) >> 63 != 0;
  const Parts z = parts_of(c);
  constexpr int kTop = 124 - kFractionBits;
  Wide q = shifted_left({0, z.mantissa}, kTop);
  const int q_exponent = z.exponent - kTop;
  if (q_exponent > exponent) {
    p = shifted_right(p, q_exponent - exponent);
    exponent = q_exponent;
  } else {
    q = shifted_right(q, exponent - q_exponent);
  }
  if (negative == c_negative) {
    const uint64_t low = p.low + q.low;
    return rounded(negative, {p.high + q.high + (low < p.low ? 1 : 0), low}, exponent);
  }
  const bool c_larger = less(p, q);
  const Wide large = c_larger ? q : p, small = c_larger ? p : q;
  const Wide difference = {large.high - small.high - (large.low < small.low ? 1 : 0), large.low - small.low};
  if (difference.high == 0 && difference.low == 0) return 0.0;
  return rounded(c_larger ? c_negative : negative, difference, exponent);
}

// Digit by digit in integers: the root of the mantissa with one bit more than a double has, which decides the rounding.
double root_by_bits(double x) {
  if (x == 0 || (field(x) == kInfinite && !(x < 0))) return x + x;
  if (x < 0) return __builtin_nan("");
  Parts p = parts_of(x);
  if ((p.exponent & 1) != 0) {
    p.mantissa <<= 1;
    p.exponent--;
  }
  // 54 digits: the first 27 pairs of bits are those of the mantissa, the others zeros.
  uint64_t root = 0, rest = 0;
  for (int pair = 26; pair >= -27; pair--) {
    rest = rest << 2 | (pair >= 0 ? p.mantissa >> (2 * pair) & 3 : 0);
    const uint64_t trial = root << 2 | 1;
    root <<= 1;
    if (rest >= trial) {
      rest -= trial;
      root |= 1;
    }
  }
  const uint64_t mantissa = (root >> 1) + (root & 1);  // never a tie: squares of odd numbers are odd
  const uint64_t exponent = static_cast<uint64_t>(p.exponent / 2 - 26 + kFractionBits + 1022);
  return double_of((exponent << kFractionBits) + mantissa);
}

}  // namespace edgecl
