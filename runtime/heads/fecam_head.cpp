// Nearest class mean by a Mahalanobis distance of each class's own (Goswami et al. 2023, "FeCAM: exploiting the
// heterogeneity of class distributions in exemplar-free continual learning"), from the exact moments of each class.
// Never here: the statistics.
//
// Of the paper: shrinkage towards the identity (its a1; its a2, towards the mean covariance, is 0 here: then every matrix is
// positive definite), correlations in place of covariances, means and samples at length 1. Its power transform is done
// where rows are counted (StatisticsSize::roots).
#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/core/encoder.h"
#include "runtime/core/executor.h"
#include "runtime/heads/solve.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {
namespace {

constexpr double kDefaultShrinkage = 1;
constexpr float kDefaultScale = 16;
constexpr double kLeastVariation = 1e-9;     // of the mean square of a feature: below, rows do not differ
constexpr uint64_t kMostMoments = 1u << 26;  // of all classes together

uint64_t work(uint64_t dim, uint64_t) {
  return dim + 2;
}

double* factor_of(const StatisticsHead& head, uint64_t c) {
  return head.factor + c * static_cast<uint64_t>(moments_size(head.statistics.size.dim));
}

double diagonal(const double* packed, uint32_t i, uint32_t dim) {
  return packed[moments_at(i, i, dim)];
}

// The covariance of a class: moments / n - sum sum^T / n^2.
void class_covariance(const Net& net, const Statistics& s, uint32_t c, double* weight, double* matrix) {
  const double rows = static_cast<double>(s.classes[c].n);
  *weight = 1 / (rows * rows);
  const int32_t dim = static_cast<int32_t>(s.size.dim);
  run_kernel(net, net.env.kernels->moments_to_covariance,
             MomentsToCovarianceArgs{s.triangle_of(c), matrix, s.class_sum(c), weight, 1, dim, 1 / rows, 0});
}

// Mean square of a feature of a class.
double mean_square(const Statistics& s, uint32_t c) {
  const int64_t* const moments = s.triangle_of(c);
  double sum = 0;
  for (uint32_t i = 0; i < s.size.dim; i++) sum += static_cast<double>(moments[moments_at(i, i, s.size.dim)]);
  return sum / (static_cast<double>(s.classes[c].n) * s.size.dim);
}

// matrix = correlations of (covariance + shrinkage * mean variance * I); the identity where nothing varies.
void to_correlations(uint32_t dim, double shrinkage, double square, double* inverse, double* matrix) {
  double mean = 0;
  for (uint32_t i = 0; i < dim; i++) mean += diagonal(matrix, i, dim);
  mean /= dim;
  if (!(mean > kLeastVariation * square)) {
    memset(static_cast<void*>(matrix), 0, static_cast<uint64_t>(moments_size(dim)) * sizeof *matrix);
    for (uint32_t i = 0; i < dim; i++) matrix[moments_at(i, i, dim)] = 1;
    return;
  }
  for (uint32_t i = 0; i < dim; i++) {
    double* const variance = matrix + moments_at(i, i, dim);
    *variance += shrinkage * mean;
    inverse[i] = 1 / square_root(*variance);
  }
  for (uint32_t i = 0; i < dim; i++) {
    for (uint32_t j = 0; j <= i; j++) {
      double* const entry = matrix + moments_at(i, j, dim);
      *entry = *entry * inverse[i] * inverse[j];
    }
  }
}

// The column of a class: its mean at length 1.
void set_mean(StatisticsHead* head, uint32_t c) {
  const StatisticsSize& size = head->statistics.size;
  const int64_t* const sum = head->statistics.class_sum(c);
  double square = 0;
  for (uint32_t i = 0; i < size.dim; i++) square += static_cast<double>(sum[i]) * static_cast<double>(sum[i]);
  const double factor = square > 0 ? 1 / square_root(square) : 0;
  for (uint64_t i = 0; i < size.dim; i++)
    head->weight[i * size.columns + c] = static_cast<float>(static_cast<double>(sum[i]) * factor);
  head->bias[c] = 0;
}

// Mean and Cholesky factor of the correlations, of the classes that changed.
Status solve(StatisticsHead* head, const Net& net, double* work) {
  const Statistics& s = head->statistics;
  const int32_t dim = static_cast<int32_t>(s.size.dim);
  double *const inverse = work, *const weight = work + dim;
  int32_t* const failed = reinterpret_cast<int32_t*>(work + dim + 1);
  const double shrinkage = head->shrinkage > 0 ? static_cast<double>(head->shrinkage) : kDefaultShrinkage;
  for (uint32_t c = 0; c < s.size.columns; c++) {
    if (s.classes[c].n == 0 || !head->changed[c]) continue;
    set_mean(head, c);
    double* const matrix = factor_of(*head, c);
    class_covariance(net, s, c, weight, matrix);
    to_correlations(s.size.dim, shrinkage, mean_square(s, c), inverse, matrix);
    CholeskyFactorArgs args = {matrix, dim, 0, 0.0, failed};
    for (; args.phase < cholesky_phases(dim); args.phase++) run_kernel(net, net.env.kernels->cholesky_factor, args);
    if (*failed < 0) continue;
    return failure(EDGECL_E_NUMERIC,
                   "expected a covariance of class %u that is positive definite; found one that is not at feature %d; "
                   "set a larger head_shrinkage",
                   c, static_cast<int>(*failed));
  }
  return Status();
}

// A row at length 1 into column r of u [dim][n]; one of zeros stays so.
void unit_row(const Statistics& s, const Tensor& embedding, uint32_t row, uint64_t r, uint64_t n, double* u) {
  gather_row(embedding, row, s.row);
  if (s.size.roots) signed_roots(s.row, s.size.dim, s.row);
  double square = 0;
  for (uint32_t i = 0; i < s.size.dim; i++) square += static_cast<double>(s.row[i]) * static_cast<double>(s.row[i]);
  const double factor = square > 0 ? 1 / square_root(square) : 0;
  for (uint32_t i = 0; i < s.size.dim; i++) u[i * n + r] = static_cast<double>(s.row[i]) * factor;
}

// Squared distances of n rows to a class, in place of the first n numbers of `off` [dim][n].
void distances(const Net& net, const StatisticsHead& head, uint32_t c, const double* u, uint64_t n, double* off) {
  const StatisticsSize& size = head.statistics.size;
  for (uint64_t i = 0; i < size.dim; i++) {
    const double mean = static_cast<double>(head.weight[i * size.columns + c]);
    for (uint64_t r = 0; r < n; r++) off[i * n + r] = u[i * n + r] - mean;
  }
  run_kernel(net, net.env.kernels->cholesky_solve,
             CholeskySolveArgs{factor_of(head, c), off, static_cast<int32_t>(size.dim), static_cast<int32_t>(n), true});
  for (uint64_t r = 0; r < n; r++) {
    double square = 0;
    for (uint64_t i = 0; i < size.dim; i++) square += off[i * n + r] * off[i * n + r];
    off[r] = square;
  }
}

void score(const HeadMemory& memory, const Net& net, uint32_t rows, Mode mode, const LayerProbe*) {
  const StatisticsHead& head = *memory.own;
  const Statistics& s = head.statistics;
  const Tensor embedding = plan_tensor(net, net.plan.model->embedding_tensor, rows, mode);
  const Tensor logits = plan_tensor(net, net.plan.model->logits_tensor, rows, mode);
  const double scale = static_cast<double>(head.cosine_scale > 0 ? head.cosine_scale : kDefaultScale);
  double *const u = head.rows, *const off = head.rows + static_cast<uint64_t>(s.size.dim) * kMetricRows;
  for (uint32_t begin = 0; begin < rows; begin += kMetricRows) {
    const uint32_t n = rows - begin < kMetricRows ? rows - begin : kMetricRows;
    for (uint32_t r = 0; r < n; r++) unit_row(s, embedding, begin + r, r, n, u);
    for (uint32_t c = 0; c < s.size.columns; c++) {
      const bool known = s.classes[c].n > 0;
      if (known) distances(net, head, c, u, n, off);
      for (uint32_t r = 0; r < n; r++) {
        *tensor_place(logits, begin + r, static_cast<int32_t>(c), 0) =
            known ? static_cast<float>(-0.5 * scale * off[r]) : kNoScore;
      }
    }
  }
}

Status check(const Plan& plan) {
  EDGECL_RETURN_IF_FAILED(statistics_head::check(plan));
  StatisticsSize size;
  size.dim = static_cast<uint32_t>(tensor_row_floats(plan.tensors[plan.model->embedding_tensor]));
  size.columns = plan.model->class_capacity;
  size.moments = Moments::kOfClasses;
  if (size.moment_numbers() <= kMostMoments) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected at most %llu second moments of all classes for the head fecam; found %llu, of %u classes with "
      "%u features; export with fewer classes (max_classes) or a smaller embedding, or choose the head lda",
      static_cast<unsigned long long>(kMostMoments), static_cast<unsigned long long>(size.moment_numbers()),
      size.columns, size.dim);
}

constexpr Readout kReadout = {Moments::kOfClasses, false, work, solve};

constexpr HeadKind kind() {
  HeadKind kind = statistics_head::kind("fecam", &kReadout);
  kind.check = check;
  kind.score = score;
  return kind;
}

}  // namespace

const HeadKind kFecamHead = kind();

}  // namespace edgecl
