// Memory, learning and scores of heads that keep statistics.
// Never here: how statistics become scores (<kind>_head.cpp), what they are (statistics.cpp), their section of a state
// (statistics_state.cpp).
#include "runtime/heads/statistics_head.h"

#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/core/encoder.h"
#include "runtime/heads/solve.h"

namespace edgecl::statistics_head {
namespace {

void changed(StatisticsHead* head, const int32_t* labels, uint32_t n) {
  for (uint32_t r = 0; r < n; r++) head->changed[labels[r]] = 1;
  head->solved = false;
}

// |x|: exact products in eight chains of double, value i in chain i % 8, which are added in order.
double length(const float* x, uint32_t n) {
  constexpr uint32_t kChains = 8;
  double chains[kChains] = {};
  uint32_t i = 0;
  for (; i + kChains <= n; i += kChains) {
    for (uint32_t k = 0; k < kChains; k++) chains[k] += static_cast<double>(x[i + k]) * static_cast<double>(x[i + k]);
  }
  for (uint32_t k = 0; i < n; i++, k++) chains[k] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double square = 0;
  for (const double chain : chains) square += chain;
  return square_root(square);
}

// Each score of a row is divided by |z|.
void divide_by_norm(const Statistics& s, const Tensor& z, const Tensor& scores, uint32_t rows) {
  for (uint32_t r = 0; r < rows; r++) {
    gather_row(z, r, s.row);
    const float norm = static_cast<float>(length(s.row, s.size.dim));
    if (!(norm > 0)) continue;  // every score is the bias then
    for (int32_t c = 0; c < scores.channels; c++) {
      float* score = tensor_place(scores, r, c, 0);
      if (*score != kNoScore) *score /= norm;
    }
  }
}

// Whether an op gave embeddings the length 1 already, to the rounding.
bool has_length_1(const Plan& plan) {
  const uint32_t embedding = plan.model->embedding_tensor;
  if (plan.tensors[embedding].height * plan.tensors[embedding].width != 1) return false;  // of each position then
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    if (plan.ops[i].output == embedding) return plan.ops[i].kind == format::kOpL2Normalize;
  }
  return false;
}

}  // namespace

StatisticsSize size_of(const Plan& plan, const format::RecipeRecord& recipe) {
  StatisticsSize size;
  size.dim = static_cast<uint32_t>(tensor_row_floats(plan.tensors[plan.model->embedding_tensor]));
  size.columns = plan.model->class_capacity;
  size.bank = recipe.head_bank;
  size.parts = recipe.head_merges;
  size.moments = head_kind(recipe.head)->readout->moments;
  size.roots = recipe.feature_root != 0;
  return size;
}

Status check(const Plan& plan) {
  const format::ModelRecord& model = *plan.model;
  bool fits =
      model.embedding_tensor != format::kNone && model.head_weight != format::kNone && model.head_bias != format::kNone;
  if (fits) {
    const format::ParamRecord& weight = plan.params[model.head_weight];
    fits = weight.storage != format::kStorageSparse && weight.rank == 2 &&
           weight.dims[0] == tensor_row_floats(plan.tensors[model.embedding_tensor]) &&
           weight.dims[0] <= kMaxFeatures &&
           plan.ops[last_layer_op(plan)].activation == static_cast<uint32_t>(Activation::kNone);
  }
  if (fits) return Status();
  return failure(
      EDGECL_E_UNSUPPORTED,
      "expected a bundle whose last layer is dense and linear, with a bias and at most 8192 inputs, for this head; "
      "found another one in \"%s\"; export it with --head",
      plan.string(model.name));
}

void lay_out(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, Weights* weights, HeadMemory* memory) {
  arena->begin_region("head");
  StatisticsHead* const own = arena->take<StatisticsHead>(1);
  const StatisticsSize size = size_of(plan, recipe);
  StatisticsHead head;
  lay_out_statistics(arena, size, recipe.feature_range, &head.statistics);
  head.readout = head_kind(recipe.head)->readout;
  head.shrinkage = recipe.head_shrinkage;
  head.cosine_scale = recipe.cosine_scale;
  head.weight = arena->take<float>(static_cast<uint64_t>(size.dim) * size.columns + kReadSlack);
  head.bias = arena->take<float>(size.columns + kReadSlack);
  head.statistics.parts.devices = lay_out_devices(arena, size.parts);
  head.all = size.moments == Moments::kShared ? arena->take<int64_t>(size.dim) : nullptr;
  if (size.moments == Moments::kOfClasses) {
    head.factor = arena->take<double>(size.moment_numbers());
    head.rows = arena->take<double>(uint64_t{2} * size.dim * kMetricRows);
  }
  head.changed = arena->take<uint8_t>(size.columns);
  if (arena->measuring() || arena->exhausted()) return;
  *own = head;
  memory->own = own;
  weights->params[plan.model->head_weight].value = own->weight;
  weights->params[plan.model->head_bias].value = own->bias;
}

uint64_t work_floats(const Plan& plan, const format::RecipeRecord& recipe) {
  const StatisticsSize size = size_of(plan, recipe);
  return 2 * head_kind(recipe.head)->readout->work(size.dim, size.columns);
}

uint64_t scratch_bytes(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels) {
  const StatisticsSize size = size_of(plan, recipe);
  uint64_t most = statistics_scratch_bytes(size, kernels);
  const auto add = [&](uint64_t need) {
    if (need > most) most = need;
  };
  if (size.triangles() > 0) add(system_scratch_bytes(size, kernels));
  for (int32_t n = 1; size.moments == Moments::kOfClasses && n <= static_cast<int32_t>(kMetricRows); n++)
    add(kernels.cholesky_solve_scratch_bytes({nullptr, nullptr, static_cast<int32_t>(size.dim), n, true}));
  return most;
}

void reset(const HeadMemory& memory) {
  StatisticsHead* head = memory.own;
  clear_statistics(&head->statistics);
  const uint64_t columns = memory.columns;
  memset(head->weight, 0, memory.dim * columns * sizeof(float));
  for (uint64_t c = 0; c < columns; c++) head->bias[c] = kNoScore;
  memset(head->changed, 1, columns);
  head->solved = false;
}

void merged(const HeadMemory& memory) {
  memset(memory.own->changed, 1, memory.columns);
  memory.own->solved = false;
}

Status prepare(const HeadMemory& memory, const Net& net) {
  StatisticsHead* head = memory.own;
  if (head->solved) return Status();
  const uint64_t columns = memory.columns;
  settle_moments(net, &head->statistics);
  for (uint64_t c = 0; c < columns; c++) {
    if (head->statistics.classes[c].n > 0) continue;
    for (uint64_t i = 0; i < memory.dim; i++) head->weight[i * columns + c] = 0;
    head->bias[c] = kNoScore;
  }
  EDGECL_RETURN_IF_FAILED(head->readout->solve(head, net, reinterpret_cast<double*>(net.work.activations)));
  memset(head->changed, 0, columns);
  head->solved = true;
  return Status();
}

void score(const HeadMemory& memory, const Net& net, uint32_t rows, Mode mode, const LayerProbe* probe) {
  forward_ops(net, rows, mode, last_layer_op(net.plan), net.plan.ops.n, probe);
  if (!memory.own->readout->divides_by_norm || has_length_1(net.plan)) return;
  divide_by_norm(memory.own->statistics, plan_tensor(net, net.plan.model->embedding_tensor, rows, mode),
                 plan_tensor(net, net.plan.model->logits_tensor, rows, mode), rows);
}

Status check_learn(const HeadMemory& memory, uint32_t n) {
  if (memory.own->statistics.n_rows() + n <= kMaxStatisticRows) return Status();
  return failure(EDGECL_E_CAPACITY,
                 "expected at most %lld rows in the statistics of a head; found more; reset the session",
                 static_cast<long long>(kMaxStatisticRows));
}

void learn_rows(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels, uint32_t n) {
  add_rows(net, embeddings, labels, n, &memory.own->statistics);
  next_version(memory.own->statistics.parts.devices);
  changed(memory.own, labels, n);
}

Status unlearn_rows(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels,
                    uint32_t n) {
  EDGECL_RETURN_IF_FAILED(take_rows(net, embeddings, labels, n, &memory.own->statistics));
  next_version(memory.own->statistics.parts.devices);
  changed(memory.own, labels, n);
  return Status();
}

Status check_forget(const HeadMemory& memory, uint32_t label) {
  return check_class_known(memory.own->statistics, label);
}

void forget_class(const HeadMemory& memory, const Net& net, uint32_t label) {
  take_class(net, label, &memory.own->statistics);
  next_version(memory.own->statistics.parts.devices);
  memory.own->changed[label] = 1;
  memory.own->solved = false;
}

HeadSummary summary(const HeadMemory& memory) {
  const Statistics& s = memory.own->statistics;
  HeadSummary summary = {static_cast<uint64_t>(s.n_rows()), 0, s.bank.fill, s.parts.fill(), memory.own->solved};
  int64_t saturated = 0;
  for (uint32_t c = 0; c < s.size.columns; c++) saturated = modular_sum(saturated, s.classes[c].saturated);
  summary.saturated = saturated > 0 ? static_cast<uint64_t>(saturated) : 0;
  return summary;
}

}  // namespace edgecl::statistics_head
