// Nearest class mean, by cosine and by distance (Mensink et al. 2013, "Distance-based image classification").
// Never here: the statistics.
#include "kernels/arithmetic.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

constexpr float kDefaultCosineScale = 16;

uint64_t no_work(uint64_t, uint64_t) {
  return 0;
}

// |S|^2 of a class sum, added up in ascending order of the features.
double square_of(const int64_t* sum, uint32_t dim) {
  double square = 0;
  for (uint32_t i = 0; i < dim; i++) {
    const double x = static_cast<double>(sum[i]);
    square += x * x;
  }
  return square;
}

void set_column(StatisticsHead* head, uint32_t c, double factor, float bias) {
  const StatisticsSize& size = head->statistics.size;
  const int64_t* sum = head->statistics.class_sum(c);
  for (uint64_t i = 0; i < size.dim; i++)
    head->weight[i * size.columns + c] = static_cast<float>(static_cast<double>(sum[i]) * factor);
  head->bias[c] = bias;
}

// score = cosine_scale * cos(mean, z).
Status solve_cosine(StatisticsHead* head, const Net&, double*) {
  const Statistics& s = head->statistics;
  const double scale = static_cast<double>(head->cosine_scale > 0 ? head->cosine_scale : kDefaultCosineScale);
  for (uint32_t c = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0 || !head->changed[c]) continue;
    const double square = square_of(s.class_sum(c), s.size.dim);
    const double norm = square_root(square);
    set_column(head, c, norm > 0 ? scale / norm : 0.0, 0.0f);
  }
  return Status();
}

// score = (mean . z - |mean|^2 / 2) / v: the log-density of a Gaussian around the mean, but for what all classes share.
// v is the variance within classes, the same in all directions.
Status solve_distance(StatisticsHead* head, const Net&, double*) {
  const Statistics& s = head->statistics;
  const double step = 1.0 / static_cast<double>(s.scale);
  double within = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) {
    const ClassCounts& counts = s.classes[c];
    if (counts.n == 0) continue;
    const double spread = square_of(s.class_sum(c), s.size.dim) / static_cast<double>(counts.n);
    within += static_cast<double>(counts.square_sum) * (1 << kSquareShift) - spread;
  }
  const double n = static_cast<double>(s.n_rows()) * static_cast<double>(s.size.dim);
  // With one row a class nothing varies; then every feature counts as it is.
  const double variance = within > 0 ? within / n * step * step : 1.0;
  for (uint32_t c = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0) continue;
    const double rows = static_cast<double>(s.classes[c].n);
    const double square = square_of(s.class_sum(c), s.size.dim) * step * step / (rows * rows);
    set_column(head, c, step / (rows * variance), static_cast<float>(-0.5 * square / variance));
  }
  return Status();
}

const Readout kCosine = {Moments::kNone, true, no_work, solve_cosine};
const Readout kDistance = {Moments::kNone, false, no_work, solve_distance};

}  // namespace

const HeadKind kNcmHead = statistics_head::kind("ncm", &kCosine);
const HeadKind kNcmDistanceHead = statistics_head::kind("ncm_distance", &kDistance);

}  // namespace edgecl
