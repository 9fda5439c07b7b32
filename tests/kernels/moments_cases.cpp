// Cases of the kernels behind statistics: quantised rows, second moments, covariance, Cholesky factor and solutions.
// Never here: comparisons with NumPy and SciPy (test_moments.py).
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tests/kernels/harness.h"

namespace edgecl::test {
namespace {

int random_size(Rng& rng) {
  return rng.pick({1, 2, 7, 8, 9, 15, 16, 17, 23, 31, 40, 63, 64, 65, 71, 96, 100, 127, 128, 130, 150, 193, 200});
}

double random_double(Rng& rng) {
  return static_cast<double>(rng.value()) + 1e-8 * static_cast<double>(rng.value());
}

// Where the values of a packed triangle lie: every entry has a place of its own, and the rest is padding.
void layout(Tests& tests) {
  for (int64_t d : {1, 2, 7, 8, 9, 64, 100, 1280}) {
    std::vector<bool> taken(static_cast<size_t>(moments_size(d)));
    bool fits = true;
    for (int64_t i = 0; i < d; i++) {
      for (int64_t j = 0; j <= i; j++) {
        const int64_t at = moments_at(i, j, d);
        fits = fits && at >= 0 && at < moments_size(d) && !taken[static_cast<size_t>(at)];
        if (fits) taken[static_cast<size_t>(at)] = true;
      }
    }
    tests.expect(fits, text("entries of a triangle of %d have places of their own", static_cast<int>(d)));
    tests.expect(moments_size(d) - d * (d + 1) / 2 <= 4 * (d + kPanelColumns),
                 text("little padding in a triangle of %d", static_cast<int>(d)));
  }
}

void quantize(Tests& tests, Rng& rng) {
  const int n = rng.pick({1, 2, 5, 16}), d = random_size(rng);
  Case c(rng);
  float* x = c.floats(static_cast<int64_t>(n) * d);
  for (int i = 0; i < n * d; i++) {
    // Halves, which tie, the numbers around the limit, and far ones.
    if (rng.chance(0.3)) x[i] = static_cast<float>(rng.range(-9, 9)) / 2.0f;
    if (rng.chance(0.1)) x[i] = static_cast<float>(rng.pick({-1, 1}) * rng.range(32760, 32772)) / 2.0f;
    if (rng.chance(0.05)) x[i] = rng.pick({1e30f, -1e30f, 3e38f, -16384.0f, 1e-42f});
  }
  QuantizeRowsArgs args = {x, nullptr, nullptr, n, d, rng.pick({1.0f, 1.0f, 0.37f, 4096.0f})};
  c.output_values(&args.q, std::vector<int16_t>(static_cast<size_t>(n) * static_cast<size_t>(d), 77));
  c.output_values(&args.saturated, std::vector<int32_t>(static_cast<size_t>(n), 77));
  CHECK_KERNEL(tests, c, quantize_rows, args, text("%d rows of %d", n, d));
}

void sum(Tests& tests, Rng& rng) {
  const int d = random_size(rng);
  Case c(rng);
  std::vector<int16_t> q(static_cast<size_t>(d));
  std::vector<int64_t> sums(q.size());
  for (int16_t& x : q) x = static_cast<int16_t>(rng.chance(0.1) ? kQuantizedLimit : rng.range(-16383, 16383));
  for (int64_t& x : sums) x = static_cast<int64_t>(rng.next()) >> rng.pick({0, 1, 40});  // some wrap around
  SumRowArgs args = {c.copy(q), nullptr, nullptr, d, rng.chance(0.5)};
  c.output_values(&args.sum, sums);
  c.output_values(&args.square, std::vector<int64_t>(1, 77));
  CHECK_KERNEL(tests, c, sum_row, args, text("a row of %d", d));
}

void quantize_known(Tests& tests) {
  const std::vector<float> x = {0.5f, 1.5f, -2.5f, 16383.4f, 16383.5f, -16383.5f, 1e9f, -0.49f};
  const std::vector<int16_t> want = {0, 2, -2, 16383, 16383, -16383, 16383, 0};
  std::vector<int16_t> q(x.size());
  int32_t saturated = -1;
  const QuantizeRowsArgs args = {x.data(), q.data(), &saturated, 1, static_cast<int32_t>(x.size()), 1.0f};
  kernel_table("reference")->quantize_rows(args, 0, 1, nullptr);
  tests.expect(q == want && saturated == 3, "ties to even; what rounds beyond the limit is counted");
}

std::vector<int64_t> random_moments(Rng& rng, int64_t d) {
  std::vector<int64_t> m(static_cast<size_t>(moments_size(d)), 0);
  for (int64_t i = 0; i < d; i++) {
    for (int64_t j = 0; j <= i; j++) {
      const int64_t any = static_cast<int64_t>(rng.next());
      m[static_cast<size_t>(moments_at(i, j, d))] = any >> rng.pick({0, 2, 12, 40});  // some wrap around
    }
  }
  return m;
}

void update(Tests& tests, Rng& rng) {
  const int n = rng.chance(0.5) ? rng.pick({1, 8, 16, 32}) : rng.range(1, kMomentRows), d = random_size(rng);
  Case c(rng);
  std::vector<int16_t> q(static_cast<size_t>(n) * static_cast<size_t>(d));
  const int limit = rng.pick({kQuantizedLimit, kQuantizedLimit, 300});
  const bool extreme = rng.chance(0.3);  // the largest sums there are
  for (int16_t& v : q) v = static_cast<int16_t>(extreme ? rng.pick({-limit, limit, limit}) : rng.range(-limit, limit));
  MomentsUpdateArgs args = {c.copy(q, kReadSlack * 4), nullptr, n, d, rng.chance(0.4)};
  c.output_values(&args.moments, random_moments(rng, d));
  CHECK_KERNEL(tests, c, moments_update, args, text("%d rows of %d, subtract %d", n, d, args.subtract));
}

// All rows of the largest value: every sum that the kernel makes on the way is as large as it can be.
void update_known(Tests& tests, const KernelTable& table) {
  const int n = kMomentRows, d = 9;
  const std::vector<int16_t> q(static_cast<size_t>(n * d) + kReadSlack * 2, kQuantizedLimit);
  std::vector<int64_t> m(static_cast<size_t>(moments_size(d)), 0);
  const auto run = [&](bool subtract) {
    const MomentsUpdateArgs args = {q.data(), m.data(), n, d, subtract};
    std::vector<uint64_t> scratch(table.moments_update_scratch_bytes(args) / 8 + 8);
    table.moments_update(args, 0, 1, scratch.data());
  };
  run(false);
  const int64_t want = int64_t{n} * kQuantizedLimit * kQuantizedLimit;
  bool right = true;
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j <= i; j++) right = right && m[static_cast<size_t>(moments_at(i, j, d))] == want;
  tests.expect(right && m[1] == 0, text("%s: the largest sums fit, padding stays zero", table.level));
  run(true);
  tests.expect(std::count(m.begin(), m.end(), 0) == static_cast<int64_t>(m.size()),
               text("%s: rows that are taken away again leave nothing", table.level));
}

void covariance(Tests& tests, Rng& rng) {
  const int k = rng.pick({0, 1, 2, 7, 8, 10, 50, 64, 65, 130}), d = random_size(rng);
  Case c(rng);
  std::vector<int64_t> sums(static_cast<size_t>(k) * static_cast<size_t>(d));
  for (int64_t& s : sums) s = static_cast<int64_t>(rng.next()) >> rng.pick({0, 12, 20, 50});
  std::vector<double> weight(static_cast<size_t>(k));
  for (double& w : weight) w = rng.chance(0.1) ? 0.0 : 1.0 / rng.range(1, 1000);
  MomentsToCovarianceArgs args = {c.copy(random_moments(rng, d), kReadSlack * 4),
                                  nullptr,
                                  c.copy(sums, kReadSlack * 4),
                                  c.copy(weight, kReadSlack * 4),
                                  k,
                                  d,
                                  rng.pick({1.0, 1e-3, 0.7}),
                                  rng.pick({0.0, 1e-4, 3.0})};
  c.output_values(&args.covariance, std::vector<double>(static_cast<size_t>(moments_size(d)), 3.0));
  CHECK_KERNEL(tests, c, moments_to_covariance, args, text("%d sums of %d", k, d));
}

// Diagonally dominant, so positive definite.
std::vector<double> random_matrix(Rng& rng, int64_t d) {
  std::vector<double> m(static_cast<size_t>(moments_size(d)), 0.0);
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j <= i; j++)
      m[static_cast<size_t>(moments_at(i, j, d))] =
          random_double(rng) + (i == j ? 2.0 * static_cast<double>(d) + 1.0 : 0.0);
  return m;
}

int factor_all(const KernelTable& table, std::vector<double>& m, int d, double floor, int begin, int end, int n_parts) {
  int32_t failed = begin == 0 ? 12345 : -1;
  for (int phase = begin; phase < end; phase++) {
    const CholeskyFactorArgs args = {m.data(), d, phase, floor, &failed};
    std::vector<double> scratch(table.cholesky_factor_scratch_bytes(args) / sizeof(double) + 8);
    for (int part = 0; part < n_parts; part++) table.cholesky_factor(args, part, n_parts, scratch.data());
  }
  return failed;
}

void factor(Tests& tests, Rng& rng) {
  const int d = random_size(rng), phases = cholesky_phases(d);
  std::vector<double> m = random_matrix(rng, d);
  const KernelTable& reference = *kernel_table("reference");
  for (int phase = 0; phase < phases; phase++) {
    Case c(rng);
    CholeskyFactorArgs args = {nullptr, d, phase, 0.0, nullptr};
    c.output_values(&args.matrix, m);
    c.output_values(&args.failed, std::vector<int32_t>{phase == 0 ? 12345 : -1});
    CHECK_KERNEL(tests, c, cholesky_factor, args, text("%d columns, phase %d of %d", d, phase, phases));
    factor_all(reference, m, d, 0.0, phase, phase + 1, 1);
  }
}

// A pivot of nothing, one below zero, one at the floor and one that is no number.
void factor_fails(Tests& tests, Rng& rng, const KernelTable& table) {
  const int d = random_size(rng), bad = rng.range(0, d - 1);
  const std::vector<double> good = random_matrix(rng, d);
  const double floor = rng.pick({0.0, 1e-3});
  const size_t at = static_cast<size_t>(moments_at(bad, bad, d));
  std::vector<double> factored = good;
  factor_all(*kernel_table("reference"), factored, d, floor, 0, cholesky_phases(d), 1);
  const double pivot = factored[at] * factored[at];
  for (double change : {pivot + 1.0, pivot - floor + 1e-9, std::nan("")}) {
    std::vector<double> m = good;
    m[at] -= change;
    const int failed = factor_all(table, m, d, floor, 0, cholesky_phases(d), 2);
    tests.expect(failed == bad, text("%s: pivot %d of %d is refused, found %d", table.level, bad, d, failed));
  }
}

void solve(Tests& tests, Rng& rng) {
  const int d = random_size(rng), columns = rng.pick({1, 2, 5, 7, 8, 9, 16, 17, 24, 33, 50, 70});
  std::vector<double> l = random_matrix(rng, d);
  factor_all(*kernel_table("reference"), l, d, 0.0, 0, cholesky_phases(d), 1);
  std::vector<double> b(static_cast<size_t>(d) * static_cast<size_t>(columns));
  for (double& v : b) v = random_double(rng);
  Case c(rng);
  CholeskySolveArgs args = {c.copy(l, kReadSlack * 4), nullptr, d, columns, rng.chance(0.3)};
  c.output_values(&args.b, b);
  CHECK_KERNEL(tests, c, cholesky_solve, args, text("%d by %d, forward only %d", d, columns, args.forward_only));
}

// The same numbers on every machine, not only at every level of one (FNV-1a of all results of one chain of kernels).
void known_bits(Tests& tests) {
  const int d = 100, k = 3, n = 20;
  const size_t size = static_cast<size_t>(moments_size(d));
  const KernelTable& table = *kernel_table("reference");
  Rng rng(7);
  std::vector<float> x(n * d);
  for (float& v : x) v = rng.uniform(-3.0f, 3.0f);
  std::vector<int16_t> q(x.size());
  std::vector<int32_t> saturated(n);
  table.quantize_rows({x.data(), q.data(), saturated.data(), n, d, 4096.0f}, 0, 1, nullptr);
  std::vector<int64_t> m(size, 0), sums(k * d, 0);
  table.moments_update({q.data(), m.data(), n, d, false}, 0, 1, nullptr);
  for (int i = 0; i < n * d; i++) sums[static_cast<size_t>(i / d % k * d + i % d)] += q[static_cast<size_t>(i)];
  const std::vector<double> weight = {1.0 / 7, 1.0 / 7, 1.0 / 6};
  std::vector<double> c(size), b(2 * d);
  table.moments_to_covariance({m.data(), c.data(), sums.data(), weight.data(), k, d, 1.0, 1e4}, 0, 1, nullptr);
  tests.expect(factor_all(table, c, d, 0.0, 0, cholesky_phases(d), 1) == -1, "a scatter with a ridge has a factor");
  for (double& v : b) v = random_double(rng);
  table.cholesky_solve({c.data(), b.data(), d, 2, false}, 0, 1, nullptr);
  uint64_t hash = 0xcbf29ce484222325;
  const auto mix = [&](const auto& values) {
    for (const auto& v : values) {
      uint64_t bits = 0;
      memcpy(&bits, &v, sizeof v);
      for (size_t i = 0; i < sizeof v; i++) hash = (hash ^ (bits >> 8 * i & 255)) * 0x100000001b3;
    }
  };
  mix(q), mix(saturated), mix(m), mix(c), mix(b);
  tests.expect(hash == 0xa96235331ca8d1e6,
               text("bits of a known chain, found %016llx", static_cast<unsigned long long>(hash)));
}

}  // namespace

void moments_cases(Tests& tests) {
  Rng rng(0x3031);
  layout(tests);
  quantize_known(tests);
  known_bits(tests);
  const char* names[16];
  const int levels = kernel_levels(names, 16);
  for (int i = 0; i < levels; i++) {
    update_known(tests, *kernel_table(names[i]));
    for (int k = 0; k < tests.repeats(10, 50); k++) factor_fails(tests, rng, *kernel_table(names[i]));
  }
  for (int i = 0; i < tests.repeats(60, 400); i++) {
    quantize(tests, rng);
    sum(tests, rng);
    update(tests, rng);
    covariance(tests, rng);
    factor(tests, rng);
    solve(tests, rng);
  }
}

}  // namespace edgecl::test
