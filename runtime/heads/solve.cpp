// Covariance, factor and solution, by kernels that run phase after phase.
// Never here: arithmetic on entries, but for the trace.
#include "runtime/heads/solve.h"

#include "runtime/core/executor.h"

namespace edgecl {
namespace {

// Of the mean square of a feature. A variance below the first is what rounding leaves of none; the second keeps a
// matrix of less than full rank positive definite.
constexpr double kLeastVariation = 1e-9, kRounding = 1e-11;

// S = alpha * moments - the sum over v of weight[v] * sums[v] sums[v]^T, + ridge * I.
void covariance(const Net& net, const Statistics& s, const int64_t* moments, Centre centre, double rows,
                const int64_t* all, const System& system) {
  MomentsToCovarianceArgs args = {};
  args.moments = moments;
  args.covariance = system.matrix;
  args.weight = system.weight;
  args.d = static_cast<int32_t>(s.size.dim);
  args.alpha = 1 / rows;
  if (centre == Centre::kAll) {
    args.sums = all;
    args.k = 1;
    system.weight[0] = 1 / (rows * rows);
  } else {
    args.sums = s.sum;
    args.k = static_cast<int32_t>(s.size.columns);
    for (uint32_t c = 0; c < s.size.columns; c++)
      system.weight[c] = s.classes[c].n == 0 ? 0 : 1 / (static_cast<double>(s.classes[c].n) * rows);
  }
  run_kernel(net, net.env.kernels->moments_to_covariance, args);
}

// The moments of all rows: integers, so they have the bits of those that were counted together.
const int64_t* all_moments(const Statistics& s, const System& system) {
  if (system.pooled == nullptr) return s.moments;
  const int64_t n = moments_size(s.size.dim);
  for (int64_t i = 0; i < n; i++) system.pooled[i] = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) {
    const int64_t* const triangle = s.triangle_of(c);
    for (int64_t i = 0; s.classes[c].n > 0 && i < n; i++) system.pooled[i] = modular_sum(system.pooled[i], triangle[i]);
  }
  return system.pooled;
}

template <class T>
double mean_diagonal(const T* packed, uint32_t dim) {
  double sum = 0;
  for (uint32_t i = 0; i < dim; i++) sum += static_cast<double>(packed[moments_at(i, i, dim)]);
  return sum / dim;
}

}  // namespace

uint64_t system_doubles(uint64_t dim, uint64_t columns) {
  return static_cast<uint64_t>(moments_size(static_cast<int64_t>(dim))) + dim * columns + columns + 1 + 64;
}

uint64_t pooled_doubles(const StatisticsSize& size) {
  return size.moments == Moments::kOfClasses ? static_cast<uint64_t>(moments_size(size.dim)) : 0;
}

uint64_t system_scratch_bytes(const StatisticsSize& size, const ScratchTable& kernels) {
  const int32_t dim = static_cast<int32_t>(size.dim), columns = static_cast<int32_t>(size.columns);
  uint64_t most = kernels.cholesky_factor_scratch_bytes({nullptr, dim, 0, 0, nullptr});
  const auto add = [&](uint64_t need) {
    if (need > most) most = need;
  };
  for (int32_t k = 1; k <= columns; k++) {
    add(kernels.moments_to_covariance_scratch_bytes({nullptr, nullptr, nullptr, nullptr, k, dim, 1, 0}));
    add(kernels.cholesky_solve_scratch_bytes({nullptr, nullptr, dim, k, false}));
  }
  return most;
}

System place_system(const Statistics& s, double* work) {
  System system = {};
  for (uint32_t c = 0; c < s.size.columns; c++) system.n_columns += s.classes[c].n > 0;
  system.matrix = work;
  system.rhs = system.matrix + moments_size(s.size.dim);
  system.weight = system.rhs + static_cast<uint64_t>(s.size.dim) * s.size.columns;
  system.failed = reinterpret_cast<int32_t*>(system.weight + s.size.columns);
  if (pooled_doubles(s.size) > 0) system.pooled = reinterpret_cast<int64_t*>(system.weight + s.size.columns + 1);
  return system;
}

Status factor_covariance(const Net& net, const Statistics& s, Centre centre, double shrinkage, bool add,
                         const int64_t* all, const System& system) {
  const uint32_t dim = s.size.dim;
  const int64_t* const moments = all_moments(s, system);
  covariance(net, s, moments, centre, static_cast<double>(s.n_rows()), all, system);
  const double mean = mean_diagonal(system.matrix, dim);
  const double square = mean_diagonal(moments, dim) / static_cast<double>(s.n_rows());
  const bool varies = mean > kLeastVariation * square;
  const double keep = !varies ? 0 : add ? 1 : 1 - shrinkage;
  const double ridge = varies ? shrinkage * mean + kRounding * square : square > 0 ? square : 1;
  if (keep != 1) {
    const int64_t n = moments_size(dim);
    for (int64_t k = 0; k < n; k++) system.matrix[k] *= keep;
  }
  for (uint32_t i = 0; i < dim; i++) system.matrix[moments_at(i, i, dim)] += ridge;
  CholeskyFactorArgs args = {system.matrix, static_cast<int32_t>(dim), 0, 0.0, system.failed};
  for (; args.phase < cholesky_phases(args.d); args.phase++) run_kernel(net, net.env.kernels->cholesky_factor, args);
  if (*system.failed < 0) return Status();
  return failure(EDGECL_E_NUMERIC,
                 "expected a covariance that is positive definite; found one that is not at feature %d; set a larger "
                 "head_shrinkage",
                 static_cast<int>(*system.failed));
}

void solve_system(const Net& net, const Statistics& s, const System& system) {
  run_kernel(net, net.env.kernels->cholesky_solve,
             CholeskySolveArgs{system.matrix, system.rhs, static_cast<int32_t>(s.size.dim),
                               static_cast<int32_t>(system.n_columns), false});
}

}  // namespace edgecl
