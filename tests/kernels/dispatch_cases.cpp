// Choice of levels, and all_finite.
// Never here: comparisons of kernels.
#include <string.h>

#include <limits>

#include "tests/kernels/harness.h"

namespace edgecl::test {

void dispatch_cases(Tests& tests) {
  const char* names[16];
  const int n = kernel_levels(names, 16);
  tests.expect(n >= 1 && strcmp(names[0], "reference") == 0, "the reference is always there");
  tests.expect(kernel_levels(names, 0) == n, "kernel_levels counts without writing");
  tests.expect(kernel_table(nullptr) == kernel_table(names[n - 1]), "the default is the best level");
  tests.expect(kernel_table("mmx") == nullptr && kernel_table("") == nullptr, "unknown levels give null");
  for (int i = 0; i < n; i++)
    tests.expect(strcmp(kernel_table(names[i])->level, names[i]) == 0, "a table knows its level");

  Rng rng(1);
  for (int64_t size : {0, 1, 7, 16, 4095, 4096, 4097, 20000}) {
    Case c(rng);
    float* x = c.floats(size);
    for (int64_t i = 0; i < size; i += 97)
      x[i] = rng.pick({std::numeric_limits<float>::max(), -std::numeric_limits<float>::max(), 1e-45f});
    tests.expect(all_finite(x, size), text("%lld finite floats", static_cast<long long>(size)));
    for (int k = 0; size > 0 && k < 20; k++) {
      const int64_t at = k == 0 ? size - 1 : rng.range(0, static_cast<int>(size) - 1);
      const float old = x[at];
      const float infinity = std::numeric_limits<float>::infinity();
      x[at] = rng.pick({infinity, -infinity, std::numeric_limits<float>::quiet_NaN()});
      tests.expect(!all_finite(x, size),
                   text("a bad float at %lld of %lld", static_cast<long long>(at), static_cast<long long>(size)));
      x[at] = old;
    }
  }
}

}  // namespace edgecl::test
