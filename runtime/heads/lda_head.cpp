// Linear discriminant analysis on streaming statistics (Hayes and Kanan 2020, "Lifelong machine learning with deep
// streaming linear discriminant analysis"). Theirs adds up a running estimate; this one solves from the exact scatter.
// Never here: the statistics, the solver.
#include "runtime/heads/solve.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

// w = covariance^-1 * mean of the class, b = -mean . w / 2.
Status solve(StatisticsHead* head, const Net& net, double* work) {
  const Statistics& s = head->statistics;
  const System system = place_system(s, work);
  if (system.n_columns == 0) return Status();
  const uint64_t dim = s.size.dim, n = system.n_columns;
  EDGECL_RETURN_IF_FAILED(
      factor_covariance(net, s, Centre::kClasses, lda_shrinkage(head->shrinkage), false, nullptr, system));
  const auto mean = [&](uint32_t c, uint64_t i) {
    return static_cast<double>(s.class_sum(c)[i]) / static_cast<double>(s.classes[c].n);
  };
  for (uint32_t c = 0, k = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0) continue;
    for (uint64_t i = 0; i < dim; i++) system.rhs[i * n + k] = mean(c, i);
    k++;
  }
  solve_system(net, s, system);
  for (uint32_t c = 0, k = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0) continue;
    double product = 0;
    for (uint64_t i = 0; i < dim; i++) {
      const double w = system.rhs[i * n + k];
      product += w * mean(c, i);
      head->weight[i * s.size.columns + c] = static_cast<float>(w * static_cast<double>(s.scale));
    }
    head->bias[c] = static_cast<float>(-0.5 * product);
    k++;
  }
  return Status();
}

const Readout kReadout = {Moments::kShared, false, system_doubles, solve};

}  // namespace

const HeadKind kLdaHead = statistics_head::kind("lda", &kReadout);

}  // namespace edgecl
