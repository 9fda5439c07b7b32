// Statistics of routing features, and how far rows lie from them.
// Never here: passes, which domain is asked; the form in a state (routing_state.cpp).
#include "runtime/adapt/routing.h"

#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/core/executor.h"
#include "runtime/heads/solve.h"
#include "runtime/novelty/threshold.h"

namespace edgecl {
namespace {

StatisticsSize size_of(uint32_t dim, uint32_t columns, uint32_t parts = 0) {
  StatisticsSize size;
  size.dim = dim;
  size.columns = columns;
  size.moments = Moments::kShared;
  size.parts = parts;
  return size;
}

// FNV-1a over the fixed-point features: the same row is always on the same side, in whatever order rows come.
bool is_held_out(const int16_t* row, uint32_t dim) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (uint32_t i = 0; i < dim; i++) {
    const uint16_t q = static_cast<uint16_t>(row[i]);
    hash = (hash ^ (q & 0xff)) * 0x100000001b3ull;
    hash = (hash ^ (q >> 8)) * 0x100000001b3ull;
  }
  return (hash >> 32) % kHeldOneIn == 0;
}

void quantize(const Net& net, const float* features, const Statistics& s, int16_t* row) {
  int32_t n_saturated;
  net.env.kernels->quantize_rows({features, row, &n_saturated, 1, static_cast<int32_t>(s.size.dim), s.scale}, 0, 1,
                                 nullptr);
}

// A row in fixed point, in the last place behind the pending rows.
int16_t* spare_row(const Statistics& s) {
  return s.pending + static_cast<uint64_t>(kPendingRows + 1) * s.size.dim;
}

System system_of(const RoutingModel& model) {
  System system = {};
  const Statistics& s = model.statistics;
  for (uint32_t c = 0; c < s.size.columns; c++) system.n_columns += s.classes[c].n > 0;
  system.matrix = model.factor;
  system.rhs = model.centre;
  system.weight = model.weight;
  system.failed = reinterpret_cast<int32_t*>(model.weight + s.size.columns);
  return system;
}

// The rows behind it move up.
void remove_held(RoutingModel* model, uint32_t i) {
  const uint64_t dim = model->statistics.size.dim;
  int16_t* const row = model->held + i * dim;
  model->held_fill--;
  memmove(row, row + dim, (model->held_fill - i) * dim * sizeof *row);
  memset(model->held + model->held_fill * dim, 0, dim * sizeof *row);
}

// Scores of up to kRoutingPiece rows in fixed point.
void score_piece(const Net& net, const RoutingWork& work, const RoutingModel& model, const int16_t* rows, uint32_t n,
                 float* scores) {
  const uint64_t dim = model.statistics.size.dim;
  for (uint64_t i = 0; i < dim; i++) {
    for (uint64_t r = 0; r < n; r++) work.rows[i * n + r] = rows[r * dim + i];
  }
  run_kernel(net, net.env.kernels->cholesky_solve,
             CholeskySolveArgs{model.factor, work.rows, static_cast<int32_t>(dim), static_cast<int32_t>(n), true});
  for (uint64_t r = 0; r < n; r++) {
    double nearest = 0;
    for (uint64_t c = 0; c < model.n; c++) {
      double sum = 0;
      for (uint64_t i = 0; i < dim; i++) {
        const double off = work.rows[i * n + r] - model.centre[i * model.n + c];
        sum += off * off;
      }
      if (c == 0 || sum < nearest) nearest = sum;
    }
    const double score = nearest / static_cast<double>(dim);
    scores[r] = score < 1e30 ? static_cast<float>(score) : 1e30f;  // false for NaN
  }
}

void score_held(const Net& net, const RoutingWork& work, const RoutingModel& model, const RoutingModel& of,
                float* scores) {
  const uint64_t dim = of.statistics.size.dim;
  HeldLists lists(of);
  const int16_t* rows = nullptr;
  for (uint32_t n = 0; lists.next(&rows, &n); scores += n) {
    for (uint32_t begin = 0; begin < n; begin += kRoutingPiece) {
      const uint32_t left = n - begin, piece = left < kRoutingPiece ? left : kRoutingPiece;
      score_piece(net, work, model, rows + begin * dim, piece, scores + begin);
    }
  }
}

float fit_of(const RoutingModel& model, float score) {
  return (score - model.mean) / model.deviation;
}

// What held-out rows score. A model of few of them takes what a Gaussian would give: mean 1, variance 2 / dim.
void calibrate(const Net& net, const RoutingWork& work, RoutingModel* model) {
  const uint64_t dim = model->statistics.size.dim;
  const uint32_t n = routing_n_held(*model);
  constexpr uint32_t kFew = 8;
  if (n < kFew) {
    model->mean = 1;
    model->deviation = static_cast<float>(square_root(2.0 / static_cast<double>(dim)));
    model->bound = 2;
    return;
  }
  score_held(net, work, *model, *model, work.scores);
  double sum = 0, square = 0;
  for (uint32_t i = 0; i < n; i++) sum += static_cast<double>(work.scores[i]);
  const double mean = sum / n;
  for (uint32_t i = 0; i < n; i++) {
    const double off = static_cast<double>(work.scores[i]) - mean;
    square += off * off;
  }
  const double deviation = square_root(square / n);
  const double least = mean * 1e-3;
  model->mean = static_cast<float>(mean);
  model->deviation = static_cast<float>(deviation > least ? deviation : least > 0 ? least : 1.0);
  Threshold threshold = {};
  // Shares in range and finite scores: cannot fail.
  if (make_threshold(work.scores, n, kHeldQuantile, kHeldQuantile, &threshold).ok())
    model->bound = fit_of(*model, threshold.accept);
}

}  // namespace

void lay_out_routing(Arena* arena, uint32_t dim, uint32_t columns, uint32_t parts, RoutingModel* model) {
  lay_out_statistics(arena, size_of(dim, columns, parts), 0, &model->statistics);
  model->factor = arena->take<double>(static_cast<uint64_t>(moments_size(dim)));
  model->centre = arena->take<double>(static_cast<uint64_t>(dim) * columns);
  model->weight = arena->take<double>(columns + 1);
  model->held = arena->take<int16_t>(static_cast<uint64_t>(kHeldRows) * dim);
  model->others = arena->take<RoutingPart>(parts);
  model->others_held = arena->take<int16_t>(static_cast<uint64_t>(parts) * kHeldRows * dim);
}

void lay_out_routing_work(Arena* arena, uint32_t dim, uint32_t parts, RoutingWork* work) {
  work->rows = arena->take<double>(static_cast<uint64_t>(dim) * kRoutingPiece);
  work->quantized = arena->take<int16_t>(static_cast<uint64_t>(dim) * kRoutingPiece + kReadSlack);
  work->scores = arena->take<float>(kHeldRows * (1 + static_cast<uint64_t>(parts)));
}

uint64_t routing_scratch_bytes(uint32_t dim, uint32_t columns, const ScratchTable& kernels) {
  const StatisticsSize size = size_of(dim, columns);
  const uint64_t system = system_scratch_bytes(size, kernels), sums = statistics_scratch_bytes(size, kernels);
  uint64_t most = system > sums ? system : sums;
  for (int32_t n = 1; n <= static_cast<int32_t>(kRoutingPiece); n++) {
    const uint64_t need = kernels.cholesky_solve_scratch_bytes({nullptr, nullptr, static_cast<int32_t>(dim), n, true});
    if (need > most) most = need;
  }
  return most;
}

void clear_routing(RoutingModel* model) {
  clear_statistics(&model->statistics);
  memset(model->held, 0, static_cast<uint64_t>(kHeldRows) * model->statistics.size.dim * sizeof *model->held);
  for (uint32_t part = 0; part < model->statistics.size.parts; part++) empty_routing_part(part, model);
  model->held_fill = model->n = 0;
  model->mean = model->bound = 0;
  model->deviation = 1;
  model->ready = false;
}

void routing_add(const Net& net, const float* features, int32_t label, RoutingModel* model) {
  const uint64_t dim = model->statistics.size.dim;
  int16_t* const row = spare_row(model->statistics);
  quantize(net, features, model->statistics, row);
  model->ready = false;
  if (!is_held_out(row, model->statistics.size.dim)) return add_rows(net, features, &label, 1, &model->statistics);
  if (model->held_fill == kHeldRows) remove_held(model, 0);
  memcpy(model->held + model->held_fill++ * dim, row, dim * sizeof *row);
}

Status routing_take_rows(const Net& net, const float* features, const int32_t* labels, uint32_t n, uint64_t rows,
                         RoutingModel* model) {
  Statistics* const s = &model->statistics;
  const uint64_t dim = s->size.dim;
  int16_t *const row = spare_row(*s), *const other = row - dim;
  const bool all_held = rows <= static_cast<uint64_t>(part_rows(*s, kNoPart)) + model->held_fill;
  for (uint32_t r = 0; r < n && all_held; r++) {
    quantize(net, features + r * dim, *s, row);
    if (!is_held_out(row, s->size.dim)) continue;
    uint32_t wanted = 1, found = 0;
    for (uint32_t before = 0; before < r; before++) {
      quantize(net, features + before * dim, *s, other);
      wanted += memcmp(other, row, dim * sizeof *row) == 0;
    }
    for (uint32_t i = 0; i < model->held_fill; i++) found += memcmp(model->held + i * dim, row, dim * sizeof *row) == 0;
    if (found < wanted) return never_learned(r);
  }
  for (uint32_t r = 0; r < n; r++) {
    quantize(net, features + r * dim, *s, row);
    if (is_held_out(row, s->size.dim)) continue;
    if (take_rows(net, features + r * dim, labels + r, 1, s).ok()) continue;
    routing_put_back(net, features, labels, r, model);
    return never_learned(r);
  }
  model->ready = false;
  return Status();
}

void routing_put_back(const Net& net, const float* features, const int32_t* labels, uint32_t n, RoutingModel* model) {
  Statistics* const s = &model->statistics;
  for (uint32_t r = 0; r < n; r++) {
    const float* const of_row = features + static_cast<uint64_t>(r) * s->size.dim;
    quantize(net, of_row, *s, spare_row(*s));
    if (!is_held_out(spare_row(*s), s->size.dim)) add_rows(net, of_row, labels + r, 1, s);
  }
}

void routing_drop_held(const Net& net, const float* features, uint32_t n, RoutingModel* model) {
  const uint64_t dim = model->statistics.size.dim;
  int16_t* const row = spare_row(model->statistics);
  for (uint32_t r = 0; r < n; r++) {
    quantize(net, features + r * dim, model->statistics, row);
    if (!is_held_out(row, model->statistics.size.dim)) continue;
    for (uint32_t i = 0; i < model->held_fill; i++) {
      if (memcmp(model->held + i * dim, row, dim * sizeof *row) != 0) continue;
      remove_held(model, i);
      break;
    }
  }
  model->ready = false;
}

bool routing_has_rows(const RoutingModel& model) {
  return model.statistics.n_rows() > 0;
}

Status routing_prepare(const Net& net, const RoutingWork& work, RoutingModel* model) {
  if (model->ready) return Status();
  Statistics* const s = &model->statistics;
  settle_moments(net, s);
  const System system = system_of(*model);
  if (system.n_columns == 0)
    return failure(EDGECL_E_SEQUENCE, "expected learned rows of the domain; found none; learn some first");
  EDGECL_RETURN_IF_FAILED(factor_covariance(net, *s, Centre::kClasses, kRoutingShrinkage, false, nullptr, system));
  const uint64_t dim = s->size.dim, n = system.n_columns;
  for (uint32_t c = 0, k = 0; c < s->size.columns; c++) {
    if (s->classes[c].n == 0) continue;
    for (uint64_t i = 0; i < dim; i++)
      system.rhs[i * n + k] = static_cast<double>(s->class_sum(c)[i]) / static_cast<double>(s->classes[c].n);
    k++;
  }
  run_kernel(net, net.env.kernels->cholesky_solve,
             CholeskySolveArgs{system.matrix, system.rhs, static_cast<int32_t>(dim), static_cast<int32_t>(n), true});
  model->n = system.n_columns;
  calibrate(net, work, model);
  model->ready = true;
  return Status();
}

void routing_fits(const Net& net, const RoutingWork& work, const RoutingModel& model, const float* features, uint32_t n,
                  float* fits) {
  const uint64_t dim = model.statistics.size.dim;
  for (uint32_t begin = 0; begin < n; begin += kRoutingPiece) {
    const uint32_t piece = n - begin < kRoutingPiece ? n - begin : kRoutingPiece;
    for (uint64_t r = 0; r < piece; r++)
      quantize(net, features + (begin + r) * dim, model.statistics, work.quantized + r * dim);
    score_piece(net, work, model, work.quantized, piece, fits + begin);
    for (uint32_t r = 0; r < piece; r++) fits[begin + r] = fit_of(model, fits[begin + r]);
  }
}

void routing_held_fits(const Net& net, const RoutingWork& work, const RoutingModel& model, const RoutingModel& of,
                       float* fits) {
  score_held(net, work, model, of, fits);
  for (uint32_t r = 0; r < routing_n_held(of); r++) fits[r] = fit_of(model, fits[r]);
}

}  // namespace edgecl
