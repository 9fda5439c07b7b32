// Relative Mahalanobis distance (Ren et al. 2021, "A simple fix to Mahalanobis distance for improving near-OOD
// detection"): the smallest distance to a class mean under the covariance within classes, less the distance to the mean
// of all rows under the covariance of all rows. On embeddings of length 1 it is the score of Mueller and Hein 2025
// ("Mahalanobis++").
// Never here: statistics, linear systems of the heads.
//
// Both covariances share the scatter within classes, S (shrunk as LDA shrinks it): that of all rows is S + U U^T, where
// column i of U is sqrt(share of class i) * (mean of class i - mean of all). With s_i = m_i^T S^-1 z, g_ij = m_i^T S^-1
// m_j, "0" for the share-weighted mean of an index, and v = U^T S^-1 (z - m_0), the matrix inversion lemma gives
//   score = min over c of (g_cc - 2 s_c) + 2 s_0 - g_00 + v^T (I + U^T S^-1 U)^-1 v,
// so a row costs dim * classes + classes^2 multiply-adds, and no matrix of the features' size is kept.
#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/core/encoder.h"
#include "runtime/heads/solve.h"
#include "runtime/heads/statistics_head.h"
#include "runtime/novelty/novelty.h"

namespace edgecl {

struct RelativeMahalanobis {
  float* weight;    // [dim][n]: S^-1 m_i, for z as it is
  double* share;    // [n]
  double* root;     // [n] of the share
  double* gram;     // [n][n]
  double* inverse;  // [n][n]
  double* mean;     // [n]: g_i0
  double mean_of_mean;
  uint32_t n;  // classes that have rows
  bool ready;
};
EDGECL_TARGET_BYTES(RelativeMahalanobis, 40, 64);

namespace {

uint64_t dim_of(const Plan& plan) {
  return tensor_row_floats(plan.tensors[plan.model->embedding_tensor]);
}

bool wanted(const format::RecipeRecord& recipe) {
  return is_built(EDGECL_BUILT_NOVELTY, "rmds") && recipe.novelty == kNoveltyRmds;
}

Status check(const HeadMemory& head, const NoveltyMemory& memory) {
  if (head.own != nullptr && memory.relative != nullptr) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected a session that keeps second moments for the score rmds; found none; make it with head = lda, "
      "ridge or fecam and novelty = rmds");
}

// rhs = the class means, then S^-1 of them; weight and gram.
Status solve_means(const Statistics& s, const Net& net, const System& system, double shrinkage,
                   RelativeMahalanobis* relative) {
  const uint64_t dim = s.size.dim, n = system.n_columns;
  EDGECL_RETURN_IF_FAILED(factor_covariance(net, s, Centre::kClasses, shrinkage, false, nullptr, system));
  const auto mean = [&](uint32_t c, uint64_t i) {
    return static_cast<double>(s.class_sum(c)[i]) / static_cast<double>(s.classes[c].n);
  };
  const auto each_class = [&](const auto& body) {
    for (uint32_t c = 0, k = 0; c < s.size.columns; c++) {
      if (s.classes[c].n > 0) body(c, k++);
    }
  };
  each_class([&](uint32_t c, uint32_t k) {
    for (uint64_t i = 0; i < dim; i++) system.rhs[i * n + k] = mean(c, i);
  });
  solve_system(net, s, system);
  each_class([&](uint32_t c, uint32_t k) {
    double* const row = relative->gram + k * n;
    memset(row, 0, n * sizeof *row);
    for (uint64_t i = 0; i < dim; i++) {
      const double m = mean(c, i);
      for (uint64_t j = 0; j < n; j++) row[j] += m * system.rhs[i * n + j];
    }
    relative->share[k] = static_cast<double>(s.classes[c].n) / static_cast<double>(s.n_rows());
    relative->root[k] = square_root(relative->share[k]);
  });
  for (uint64_t i = 0; i < dim * n; i++)
    relative->weight[i] = static_cast<float>(system.rhs[i] * static_cast<double>(s.scale));
  return Status();
}

// (I + U^T S^-1 U)^-1, with U^T S^-1 U = root_i root_j (g_ij - g_i0 - g_0j + g_00).
Status invert_spread(const Net& net, RelativeMahalanobis* relative, double* work) {
  const int32_t n = static_cast<int32_t>(relative->n);
  const uint64_t size = relative->n;
  relative->mean_of_mean = 0;
  for (uint64_t i = 0; i < size; i++) {
    relative->mean[i] = 0;
    for (uint64_t j = 0; j < size; j++) relative->mean[i] += relative->share[j] * relative->gram[i * size + j];
    relative->mean_of_mean += relative->share[i] * relative->mean[i];
  }
  double* const matrix = work;
  const int64_t packed = moments_size(n);
  int32_t* const failed = reinterpret_cast<int32_t*>(matrix + packed);
  memset(static_cast<void*>(matrix), 0, static_cast<size_t>(packed) * sizeof *matrix);
  for (int32_t i = 0; i < n; i++) {
    for (int32_t j = 0; j <= i; j++) {
      const double g = relative->gram[static_cast<uint64_t>(i) * size + static_cast<uint64_t>(j)];
      const double spread = g - relative->mean[i] - relative->mean[j] + relative->mean_of_mean;
      matrix[moments_at(i, j, n)] = relative->root[i] * relative->root[j] * spread + (i == j ? 1 : 0);
    }
  }
  CholeskyFactorArgs args = {matrix, n, 0, 0.0, failed};
  for (; args.phase < cholesky_phases(n); args.phase++) run_kernel(net, net.env.kernels->cholesky_factor, args);
  if (*failed >= 0) {
    return failure(EDGECL_E_NUMERIC,
                   "expected class means that are apart in finite numbers; found some that are not; set a larger "
                   "head_shrinkage");
  }
  memset(static_cast<void*>(relative->inverse), 0, size * size * sizeof *relative->inverse);
  for (uint64_t i = 0; i < size; i++) relative->inverse[i * size + i] = 1;
  run_kernel(net, net.env.kernels->cholesky_solve, CholeskySolveArgs{matrix, relative->inverse, n, n, false});
  return Status();
}

Status prepare(const HeadMemory& head, const NoveltyMemory& memory, const Net& net) {
  RelativeMahalanobis* const relative = memory.relative;
  if (relative->ready) return Status();
  Statistics* const s = &head.own->statistics;
  settle_moments(net, s);
  double* const work = reinterpret_cast<double*>(net.work.activations);
  const System system = place_system(*s, work);
  if (system.n_columns == 0)
    return failure(EDGECL_E_SEQUENCE, "expected learned rows for the score rmds; found none; learn some first");
  relative->n = system.n_columns;
  EDGECL_RETURN_IF_FAILED(solve_means(*s, net, system, lda_shrinkage(head.own->shrinkage), relative));
  EDGECL_RETURN_IF_FAILED(invert_spread(net, relative, work));
  relative->ready = true;
  return Status();
}

float score(const NoveltyInput& in, uint32_t row) {
  const RelativeMahalanobis& r = *in.memory.relative;
  const uint64_t n = r.n;
  double* const s = in.memory.work;
  double* const v = s + n;
  memset(s, 0, n * sizeof *s);
  const int64_t plane = static_cast<int64_t>(in.embedding.height) * in.embedding.width;
  const float* weight = r.weight;
  for (int32_t c = 0; c < in.embedding.channels; c++) {
    for (int64_t at = 0; at < plane; at++, weight += n) {
      const double z = static_cast<double>(tensor_element(in.embedding, row, c, at));
      for (uint64_t i = 0; i < n; i++) s[i] += static_cast<double>(weight[i]) * z;
    }
  }
  double s0 = 0, nearest = 0;
  for (uint64_t i = 0; i < n; i++) {
    s0 += r.share[i] * s[i];
    const double distance = r.gram[i * n + i] - 2 * s[i];
    if (i == 0 || distance < nearest) nearest = distance;
  }
  for (uint64_t i = 0; i < n; i++) v[i] = r.root[i] * ((s[i] - s0) - (r.mean[i] - r.mean_of_mean));
  double form = 0;
  for (uint64_t i = 0; i < n; i++) {
    double product = 0;
    for (uint64_t j = 0; j < n; j++) product += r.inverse[i * n + j] * v[j];
    form += v[i] * product;
  }
  return static_cast<float>(nearest + 2 * s0 - r.mean_of_mean + form);
}

}  // namespace

const NoveltyKind kRelativeMahalanobisNovelty = {"rmds", false, check, prepare, score};

void lay_out_novelty(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, NoveltyMemory* memory) {
  if (!wanted(recipe)) return;
  arena->begin_region("head");
  const uint64_t dim = dim_of(plan), columns = plan.model->class_capacity;
  RelativeMahalanobis* const own = arena->take<RelativeMahalanobis>(1);
  RelativeMahalanobis relative = {};
  relative.weight = arena->take<float>(dim * columns);
  relative.share = arena->take<double>(columns);
  relative.root = arena->take<double>(columns);
  relative.gram = arena->take<double>(columns * columns);
  relative.inverse = arena->take<double>(columns * columns);
  relative.mean = arena->take<double>(columns);
  memory->work = arena->take<double>(2 * columns);
  if (arena->measuring() || arena->exhausted()) return;
  *own = relative;
  memory->relative = own;
}

uint64_t novelty_work_floats(const Plan& plan, const format::RecipeRecord& recipe) {
  if (!wanted(recipe)) return 0;
  const uint64_t columns = plan.model->class_capacity;
  const uint64_t pooled = pooled_doubles(statistics_head::size_of(plan, recipe));
  const uint64_t means = system_doubles(dim_of(plan), columns) + pooled, spread = system_doubles(columns, columns);
  return 2 * (means > spread ? means : spread);
}

uint64_t novelty_scratch_bytes(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels) {
  if (!wanted(recipe)) return 0;
  StatisticsSize size;
  size.columns = plan.model->class_capacity;
  size.dim = static_cast<uint32_t>(dim_of(plan));
  const uint64_t means = system_scratch_bytes(size, kernels);
  size.dim = size.columns;
  const uint64_t spread = system_scratch_bytes(size, kernels);
  return means > spread ? means : spread;
}

void novelty_stale(const NoveltyMemory& memory) {
  if (memory.relative) memory.relative->ready = false;
}

}  // namespace edgecl
