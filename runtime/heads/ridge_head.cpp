// Ridge regression of the classes' indicators on embeddings, with an intercept (Zhuang et al. 2022, "ACIL: analytic
// class-incremental learning"; McDonnell et al. 2023, "RanPAC").
// Never here: the statistics, the solver.
#include "runtime/heads/solve.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

constexpr double kDefaultShrinkage = 0.3;
constexpr double kLeastVariance = 1e-4;  // left over, of an indicator: the regression may fit few rows exactly

// Covariance of indicator and feature: (class sum - rows of the class * mean) / rows.
struct Target {
  double rows, share;  // of all classes; of this class
  double at(int64_t sum, int64_t all) const {
    return (static_cast<double>(sum) - share * static_cast<double>(all)) / rows;
  }
};

// w = (covariance + penalty)^-1 * covariance with the indicator, b = share - w . mean; and both divided by the variance
// that is left over, share * (1 - share) - w . covariance with the indicator, on average over the classes.
Status solve(StatisticsHead* head, const Net& net, double* work) {
  const Statistics& s = head->statistics;
  const System system = place_system(s, work);
  if (system.n_columns == 0) return Status();
  const uint64_t dim = s.size.dim, n = system.n_columns;
  int64_t* const all = head->all;
  for (uint64_t i = 0; i < dim; i++) {
    all[i] = 0;
    for (uint32_t c = 0; c < s.size.columns; c++) all[i] = modular_sum(all[i], s.class_sum(c)[i]);
  }
  const double shrinkage = head->shrinkage > 0 ? static_cast<double>(head->shrinkage) : kDefaultShrinkage;
  EDGECL_RETURN_IF_FAILED(factor_covariance(net, s, Centre::kAll, shrinkage, true, all, system));
  const double rows = static_cast<double>(s.n_rows());
  const auto target = [&](uint32_t c) { return Target{rows, static_cast<double>(s.classes[c].n) / rows}; };
  for (uint32_t c = 0, k = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0) continue;
    for (uint64_t i = 0; i < dim; i++) system.rhs[i * n + k] = target(c).at(s.class_sum(c)[i], all[i]);
    k++;
  }
  solve_system(net, s, system);
  double variance = 0;
  for (uint32_t c = 0, k = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0) continue;
    const Target t = target(c);
    variance += t.share * (1 - t.share);
    for (uint64_t i = 0; i < dim; i++) variance -= system.rhs[i * n + k] * t.at(s.class_sum(c)[i], all[i]);
    k++;
  }
  variance /= static_cast<double>(n);
  const double factor = variance > kLeastVariance ? 1 / variance : n > 1 ? 1 / kLeastVariance : 1;
  for (uint32_t c = 0, k = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0) continue;
    double product = 0;
    for (uint64_t i = 0; i < dim; i++) {
      const double w = system.rhs[i * n + k];
      product += w * static_cast<double>(all[i]);
      head->weight[i * s.size.columns + c] = static_cast<float>(w * static_cast<double>(s.scale) * factor);
    }
    head->bias[c] = static_cast<float>((target(c).share - product / rows) * factor);
    k++;
  }
  return Status();
}

const Readout kReadout = {Moments::kShared, false, system_doubles, solve};

}  // namespace

const HeadKind kRidgeHead = statistics_head::kind("ridge", &kReadout);

}  // namespace edgecl
