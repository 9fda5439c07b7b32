// exp and log, fused multiply-add and square root against the double functions of the C library: error in units of the
// last place, special values. Never here: vector forms (sigmoid and cross-entropy compare them with the scalar forms
// bit for bit).
#include <cmath>
#include <limits>

#include "kernels/arithmetic.h"
#include "kernels/scalar_math.h"
#include "tests/kernels/harness.h"

namespace edgecl::test {
namespace {

// |got - want| in ulps of the float nearest to want.
double ulps(float got, double want) {
  int exponent;
  std::frexp(static_cast<double>(static_cast<float>(want)), &exponent);
  return std::fabs(static_cast<double>(got) - want) / std::ldexp(1.0, exponent - 24);
}

bool same_float(float a, float b) {
  return float_bits(a) == float_bits(b) || (std::isnan(a) && std::isnan(b));
}

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
bool same_double(double a, double b) {
  return bits_of(a) == bits_of(b) || (std::isnan(a) && std::isnan(b));
}

// The same of doubles.
void double_cases(Tests& tests) {
  constexpr uint64_t kSign = 1ull << 63, kExponent = 0x7ffull << 52;
  const uint64_t corners[] = {0,
                              1,
                              (1ull << 52) - 1,
                              1ull << 52,
                              0x3fefffffffffffff,
                              0x3ff0000000000000,
                              0x3ff0000000000001,
                              0x3ca0000000000000,
                              0x1ff0000000000000,
                              0x7fefffffffffffff,
                              0x7ff0000000000000,
                              0x7ff8000000000000};
  const auto check = [&](uint64_t a, uint64_t b, uint64_t c) {
    const double x = double_of(a), y = double_of(b), z = double_of(c);
    if (same_double(fused_by_parts(x, y, z), std::fma(x, y, z))) return;
    tests.expect(false, text("fused(%016llx, %016llx, %016llx)", static_cast<unsigned long long>(a),
                             static_cast<unsigned long long>(b), static_cast<unsigned long long>(c)));
  };
  for (uint64_t a : corners) {
    for (uint64_t b : corners) {
      for (uint64_t c : corners) {
        for (uint64_t signs = 0; signs < 8; signs++) check(a | signs << 63, b | signs >> 1 << 63, c | signs >> 2 << 63);
      }
    }
  }
  Rng rng(0xd0b1e);
  // Any exponent, those around 1, and those whose product lies below the normal numbers.
  const auto near = [&](uint64_t exponent, uint64_t spread) {
    return (rng.next() & ~kExponent) | (exponent + rng.next() % spread) << 52;
  };
  for (int i = 0; i < (tests.options().quick ? 100000 : 3000000); i++) {
    const uint64_t a = rng.next(), b = rng.next(), product = bits_of(-double_of(a) * double_of(b));
    check(a, b, rng.next());
    check(a, b, product + rng.next() % 5 - 2);
    check(a & ~0x3ffffffull, b & ~0x3ffffffull, product - ((20 + rng.next() % 100) << 52));
    check(near(960, 63), near(960, 63), near(840, 180));
    const uint64_t small = near(500, 30), other = near(470, 60);
    check(small, other, near(0, 8));
    check(small, other, bits_of(-double_of(small) * double_of(other)) ^ (rng.next() & kSign));
    const double x = double_of(i % 2 ? a : near(0, 3) & ~kSign);
    if (!same_double(root_by_bits(x), std::sqrt(x))) tests.expect(false, text("root(%.17g)", x));
  }
  for (uint64_t x : corners)
    for (uint64_t bits : {x, x | kSign})
      tests.expect(same_double(root_by_bits(double_of(bits)), std::sqrt(double_of(bits))), "roots of special doubles");
}

// The forms without instructions against the C library, which rounds once.
void arithmetic_cases(Tests& tests) {
  const uint32_t corners[] = {0,          1,          0x7fffff,   0x800000,   0x800001,   0x3f7fffff, 0x3f800000,
                              0x3f800001, 0x4b000000, 0x4b800001, 0x7f7fffff, 0x7f800000, 0x7fc00000, 0x33800000};
  const auto check = [&](uint32_t a, uint32_t b, uint32_t c) {
    const float x = bits_float(a), y = bits_float(b), z = bits_float(c);
    if (same_float(fused_by_parts(x, y, z), std::fma(x, y, z))) return;
    tests.expect(false, text("fused(%08x, %08x, %08x)", a, b, c));
  };
  for (uint32_t a : corners) {
    for (uint32_t b : corners) {
      for (uint32_t c : corners) {
        for (uint32_t signs = 0; signs < 8; signs++)
          check(a | (signs & 1) << 31, b | (signs & 2) << 30, c | (signs & 4) << 29);
      }
    }
  }
  uint64_t state = 1;
  const auto random = [&] {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<uint32_t>(state >> 32);
  };
  for (uint32_t i = 0; i < (tests.options().quick ? 200000u : 3000000u); i++) {
    const uint32_t a = random(), b = random();
    check(a, b, random());
    // Close to -a * b, where most bits cancel, and far below it, where the addend decides ties.
    const uint32_t product = float_bits(-bits_float(a) * bits_float(b));
    check(a, b, product + random() % 5 - 2);
    check(a & 0xfffff000u, b & 0xfffff000u, product - ((20 + random() % 12) << 23));
  }
  const auto check_root = [&](uint32_t bits) {
    if (same_float(root_by_bits(bits_float(bits)), std::sqrt(bits_float(bits)))) return;
    tests.expect(false, text("root(%08x)", bits));
  };
  for (uint64_t bits = 0; bits < (1ull << 32); bits += tests.options().quick ? 4093 : 251)
    check_root(static_cast<uint32_t>(bits));
  for (uint32_t bits = 0; bits < 70000; bits++) check_root(bits);
}

// Of functions that go through 0 in a straight line errors are in units of the last place; of the others absolute, in
// 2^-24 of the larger of 1 and |x|, over -20 to 20.
void function_cases(Tests& tests) {
  typedef Activation A;
  struct Function {
    const char* name;
    float (*found)(float, float, float);
    double (*wanted)(double);
    float lo, hi;
    bool relative;
    double bound;
  };
  const Function functions[] = {
      {"tanh", activation_value<ScalarMath, A::kTanh>, [](double x) { return std::tanh(x); }, 0, 0, true, 2.5},
      {"erf", activation_value<ScalarMath, A::kErf>, [](double x) { return std::erf(x); }, 0, 0, true, 1.2},
      {"elu", activation_value<ScalarMath, A::kElu>, [](double x) { return x > 0 ? x : std::expm1(x); }, 1, 1, true,
       1.0},
      {"softplus", activation_value<ScalarMath, A::kSoftplus>,
       [](double x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }, 0, 0, true, 1.9},
      {"gelu", activation_value<ScalarMath, A::kGelu>, [](double x) { return x * std::erfc(-x / std::sqrt(2.0)) / 2; },
       0, 0, false, 1.9},
      {"gelu_tanh", activation_value<ScalarMath, A::kGeluTanh>,
       [](double x) {
         return x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))) / 2;
       },
       0, 0, false, 2.1},
      {"mish", activation_value<ScalarMath, A::kMish>,
       [](double x) { return x * std::tanh(x > 30 ? x : std::log1p(std::exp(x))); }, 0, 0, false, 2.2},
      {"silu", activation_value<ScalarMath, A::kSilu>, [](double x) { return x / (1 + std::exp(-x)); }, 1, 0, false,
       2.4},
  };
  for (const Function& f : functions) {
    double worst = 0;
    const uint32_t step = tests.options().quick ? 4093 : 251;
    for (uint64_t bits = 0; bits < (1ull << 32); bits += step) {
      const float x = bits_float(static_cast<uint32_t>(bits));
      if (!(std::fabs(x) <= 20) || std::fabs(x) < 1e-30f) continue;
      const double wanted = f.wanted(static_cast<double>(x));
      const float found = f.found(x, f.lo, f.hi);
      worst = std::fmax(worst, f.relative ? ulps(found, wanted)
                                          : std::fabs(static_cast<double>(found) - wanted) * 16777216.0 /
                                                std::fmax(1.0, std::fabs(static_cast<double>(x))));
    }
    tests.expect(worst <= f.bound, text("%s is within %.2f, found %.4f", f.name, f.bound, worst));
    const float nan = std::numeric_limits<float>::quiet_NaN();
    tests.expect(std::isnan(f.found(nan, f.lo, f.hi)), text("%s of NaN", f.name));
  }
}

}  // namespace

void math_cases(Tests& tests) {
  function_cases(tests);
  arithmetic_cases(tests);
  double_cases(tests);
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
