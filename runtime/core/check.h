// Arithmetic on numbers of a file that cannot overflow.
// Never here: checks (runtime/bundle/validate_*.cpp, runtime/core/ops), their wording (status.h).
#ifndef EDGECL_RUNTIME_CORE_CHECK_H_
#define EDGECL_RUNTIME_CORE_CHECK_H_

#include <stdint.h>

namespace edgecl {

inline unsigned long long u64(uint64_t x) {
  return x;
}  // for %llu

// a * b and a + b, or ~0 when the result needs more than 64 bits. Everything that is computed from fields of the file
// goes through these unless a limit that was checked before makes overflow impossible.
inline uint64_t checked_mul(uint64_t a, uint64_t b) {
  uint64_t result;
  return __builtin_mul_overflow(a, b, &result) ? ~0ull : result;
}
inline uint64_t checked_add(uint64_t a, uint64_t b) {
  uint64_t result;
  return __builtin_add_overflow(a, b, &result) ? ~0ull : result;
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_CHECK_H_
