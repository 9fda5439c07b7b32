// Integers of a row into sums, and the sum of their squares.
// Never here: whose sums they are.
#include "kernels/kernel_declarations.h"
#include "kernels/simd/simd.h"

EDGECL_DECLARE_KERNELS(EDGECL_LEVEL)

namespace edgecl::EDGECL_LEVEL {
namespace {

// As many as int64 fit into a vector; NEON has two, which it widens from a quarter of one.
constexpr int kLongs = kVec / 2;
typedef int16_t Shorts __attribute__((vector_size(2 * kLongs)));
typedef int32_t Ints __attribute__((vector_size(4 * kLongs)));
typedef int64_t Longs __attribute__((vector_size(8 * kLongs)));
typedef uint64_t Wrapping __attribute__((vector_size(8 * kLongs)));

}  // namespace

void sum_row(const SumRowArgs& a, int part, int, void*) {
  if (part > 0) return;
  const int16_t* const q = a.q;
  int64_t* const sum = a.sum;
  const int64_t d = a.d;
  const Wrapping sign = Wrapping{} - (a.subtract ? 1u : 0u);  // (x ^ sign) - sign is x or -x
  Longs squares = {};
  int64_t i = 0;
  for (; i + kLongs <= d; i += kLongs) {
    Shorts row;
    memcpy(&row, q + i, sizeof row);
    const Ints wide = __builtin_convertvector(row, Ints);
    squares += __builtin_convertvector(wide * wide, Longs);
    Wrapping total;
    memcpy(&total, sum + i, sizeof total);
    total += ((Wrapping) __builtin_convertvector(wide, Longs) ^ sign) - sign;
    memcpy(sum + i, &total, sizeof total);
  }
  int64_t square = 0;
  for (int k = 0; k < kLongs; k++) square += squares[k];
  for (; i < d; i++) {
    const int64_t x = q[i];
    square += x * x;
    sum[i] = modular_sum(sum[i], a.subtract ? -x : x);
  }
  *a.square = square;
}

}  // namespace edgecl::EDGECL_LEVEL
