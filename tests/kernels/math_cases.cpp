// exp and log against the double functions of the C library: error in units of the last place, special values.
// Never here: vector forms (sigmoid and cross-entropy compare them with the scalar forms bit for bit).
#include <cmath>
#include <limits>

#include "kernels/exp_log.h"
#include "tests/kernels/harness.h"

namespace edgecl::test {
namespace {

// |got - want| in ulps of the float nearest to want.
double ulps(float got, double want) {
  int exponent;
  std::frexp(static_cast<double>(static_cast<float>(want)), &exponent);
  return std::fabs(static_cast<double>(got) - want) / std::ldexp(1.0, exponent - 24);
}

}  // namespace

void math_cases(Tests& tests) {
  const float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  const uint32_t step = tests.options().quick ? 1021 : 61;
  double worst_exp = 0, worst_log = 0;
  for (uint64_t bits = 0; bits < (1ull << 32); bits += step) {
    const float x = bits_float(static_cast<uint32_t>(bits));
    if (x >= kExpLow && x <= kExpHigh)
      worst_exp = std::fmax(worst_exp, ulps(exp_scalar(x), std::exp(static_cast<double>(x))));
    if (x >= kMinNormal && x < infinity)
      worst_log = std::fmax(worst_log, ulps(log_scalar(x), std::log(static_cast<double>(x))));
  }
  tests.expect(worst_exp <= 1.01, text("exp is within 1.01 ulp, found %.4f", worst_exp));
  tests.expect(worst_log <= 0.87, text("log is within 0.87 ulp, found %.4f", worst_log));
  tests.expect(exp_scalar(0.0f) == 1.0f && exp_scalar(-0.0f) == 1.0f && log_scalar(1.0f) == 0.0f,
               "exp(0) = 1, log(1) = 0");
  tests.expect(exp_scalar(kExpLow) >= kMinNormal && exp_scalar(std::nextafter(kExpLow, -100.0f)) == 0.0f,
               "exp flushes below kExpLow");
  tests.expect(exp_scalar(kExpHigh) < infinity && exp_scalar(std::nextafter(kExpHigh, 100.0f)) == infinity,
               "exp clamps above kExpHigh");
  tests.expect(exp_scalar(infinity) == infinity && exp_scalar(-infinity) == 0.0f && std::isnan(exp_scalar(nan)),
               "exp of infinities and NaN");
  tests.expect(log_scalar(0.0f) == -infinity && log_scalar(1e-40f) == -infinity && std::isnan(log_scalar(-1.0f)) &&
                   log_scalar(infinity) == infinity && std::isnan(log_scalar(nan)),
               "log of special values");
  for (int k = -125; k <= 127; k++)
    tests.expect(exp_scalar(static_cast<float>(k) * 0.69314718f) > 0.0f &&
                     ulps(log_scalar(std::ldexp(1.0f, k)), k * 0.69314718055994531) <= 0.87,
                 text("powers of two, 2^%d", k));
}

}  // namespace edgecl::test
