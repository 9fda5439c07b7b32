// The largest magnitude in an array of finite floats.
// Never here: limits, threads.
#ifndef EDGECL_RUNTIME_LEARN_MAGNITUDE_H_
#define EDGECL_RUNTIME_LEARN_MAGNITUDE_H_

#include <stdint.h>
#include <string.h>

namespace edgecl {

// Works on bit patterns: without the sign their order is the order of the numbers, and every compiler vectorises an
// integer maximum.
inline float largest_magnitude(const float* x, uint64_t n) {
  int32_t largest = 0;
  for (uint64_t i = 0; i < n; i++) {
    int32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  float result;
  memcpy(&result, &largest, sizeof result);
  return result;
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_MAGNITUDE_H_
