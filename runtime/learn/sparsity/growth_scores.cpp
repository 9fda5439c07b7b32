// Dense weight gradients in pieces, and the best positions among those that hold no weight.
// Never here: when they are wanted (structure.cpp).
#include "runtime/learn/sparsity/growth_scores.h"

#include <math.h>
#include <string.h>

#include "runtime/core/executor_ops.h"
#include "runtime/core/sparse_edit.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/session.h"
#include "runtime/learn/sparsity/top_k.h"

namespace edgecl {
namespace {

constexpr uint32_t kPieceEntries = 16384;

uint32_t row_entries(const SparsePattern& pattern) {
  return static_cast<uint32_t>(pattern.channels) * static_cast<uint32_t>(pattern.taps);
}
uint32_t piece_rows(const SparsePattern& pattern) {
  const uint32_t rows = kPieceEntries / row_entries(pattern);
  return rows > 0 ? rows : 1;
}
uint64_t piece_entries(const SparsePattern& pattern) {
  return static_cast<uint64_t>(piece_rows(pattern)) * row_entries(pattern);
}
// Positions of a row in channel block `block`: the last one may be narrower.
uint32_t block_entries(const SparsePattern& pattern, int32_t block) {
  const int32_t left = pattern.channels - block * pattern.channel_block;
  const int32_t channels = left < pattern.channel_block ? left : pattern.channel_block;
  return static_cast<uint32_t>(channels) * static_cast<uint32_t>(pattern.taps);
}

bool grows_by_gradient(const SessionConfig& config) {
  return structure_rule(config) && growth_of(config) != format::kGrowthRandom;
}

template <class Visit>
void each_dynamic_layer(const Plan& plan, const Visit& visit) {
  for (uint32_t op = 0; op < plan.ops.n; op++) {
    const uint32_t kind = plan.ops[op].kind;
    if (kind != format::kOpConv && kind != format::kOpLinear) continue;
    const format::ParamRecord& param = plan.params[plan.ops[op].params[0]];
    const bool dynamic = param.storage == format::kStorageSparse && param.trainable;
    if (dynamic && plan.writes_gradient(op, 0)) visit(op, param);
  }
}

// The pattern with all positions of rows [first, last) and no others.
SparsePattern full_rows(const SparsePattern& layer, uint32_t first, uint32_t last, GrowthScratch* scratch) {
  SparsePattern piece = layer;
  uint32_t n = 0;
  int64_t unit = 0;
  for (int32_t block = 0; block < layer.n_blocks; block++) {
    for (uint32_t row = 0; row < static_cast<uint32_t>(layer.rows); row++) {
      scratch->row_start[unit++] = n;
      if (row < first || row >= last) continue;
      const uint32_t count = block_entries(layer, block);
      for (uint32_t i = 0; i < count; i++) scratch->index[n++] = static_cast<uint16_t>(i);
    }
  }
  scratch->row_start[unit] = n;
  piece.nnz = n;
  piece.row_start = scratch->row_start;
  piece.index = scratch->index;
  piece.source = nullptr;
  return piece;
}

void weight_gradient(const Session& session, uint32_t op, const Tensor& x, const Tensor& dy,
                     const SparsePattern& pattern, const uint8_t* selected, float* gradient) {
  const Net net = session.learning();
  const format::OpRecord& record = session.plan->ops[op];
  if (record.kind == format::kOpConv) {
    run_kernel(net, net.env.kernels->sparse_conv_backward_weight,
               SparseConvBackwardWeightArgs{x, dy, pattern, selected, gradient, nullptr, op_conv_shape(record)});
  } else {
    run_kernel(net, net.env.kernels->sparse_linear_backward_weight,
               SparseLinearBackwardWeightArgs{x, dy, pattern, selected, gradient, nullptr});
  }
}

// A copy of dy in which replayed rows (those from n_current on) are zero.
Tensor current_rows(const Tensor& dy, uint32_t n_current, float* copy) {
  Tensor out = dy;
  out.data = copy;
  const int64_t group = static_cast<int64_t>(dy.channels) * dy.plane();
  for (int64_t i = 0; i < dy.size(); i++) {
    const int64_t row = i / group * dy.lanes + i % dy.lanes;
    copy[i] = row < static_cast<int64_t>(n_current) ? dy.data[i] : 0.0f;
  }
  return out;
}

// Keeps the best `most` of the n candidates collected; their order stays.
uint32_t cut_back(GrowthScratch* scratch, uint32_t n, uint32_t most) {
  if (n <= most) return n;
  mark_largest(scratch->scores, n, most, scratch->best);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < n; i++) {
    if (!scratch->best[i]) continue;
    scratch->keys[kept] = scratch->keys[i];
    scratch->scores[kept++] = scratch->scores[i];
  }
  return kept;
}

// Collects the positions of a piece that hold no weight.
uint32_t collect(const SparsePattern& layer, const SparsePattern& piece, uint32_t first, uint32_t last, float a,
                 float b, uint32_t most, uint32_t n, GrowthScratch* scratch) {
  const uint32_t width = position_width(layer);
  for (int32_t block = 0; block < layer.n_blocks; block++) {
    for (uint32_t row = first; row < last; row++) {
      const int64_t unit = static_cast<int64_t>(block) * layer.rows + row;
      uint32_t stored = layer.row_start[unit];
      for (uint32_t k = piece.row_start[unit]; k < piece.row_start[unit + 1]; k++) {
        if (stored < layer.row_start[unit + 1] && layer.index[stored] == piece.index[k]) {
          stored++;
          continue;
        }
        const float g = scratch->gradient[k];
        scratch->keys[n] = static_cast<uint32_t>(unit) * width + piece.index[k];
        scratch->scores[n] =
            scratch->current ? a * fabsf(scratch->current[k]) + b * fabsf(g - scratch->current[k]) : fabsf(g);
        if (++n == 2 * most) n = cut_back(scratch, n, most);
      }
    }
  }
  return n;
}

void find_candidates(Session* session, StructureLayer* layer, const Tensor& x, const Tensor& dy,
                     const Tensor& current) {
  GrowthScratch& scratch = session->structure.scores;
  const format::RecipeRecord& recipe = session->config;
  const SparsePattern& pattern = session->weights.params[layer->param].pattern;
  const uint32_t rows = static_cast<uint32_t>(pattern.rows), step = piece_rows(pattern);
  const bool split = growth_of(session->config) == format::kGrowthImportance;
  GrowthScratch view = scratch;
  if (!split) view.current = nullptr;
  uint32_t n = 0, wanted = structure_growth(*session, *layer);
  if (wanted > layer->growth.capacity) wanted = layer->growth.capacity;
  for (uint32_t first = 0; first < rows && wanted > 0; first += step) {
    const uint32_t last = first + step < rows ? first + step : rows;
    const SparsePattern piece = full_rows(pattern, first, last, &view);
    weight_gradient(*session, layer->op, x, dy, piece, nullptr, view.gradient);
    if (split) weight_gradient(*session, layer->op, x, current, piece, nullptr, view.current);
    n = collect(pattern, piece, first, last, recipe.importance_current, recipe.importance_replay, wanted, n, &view);
  }
  layer->growth.n = cut_back(&view, n, wanted);
  if (layer->growth.n > 0) memcpy(layer->growth.keys, view.keys, layer->growth.n * sizeof(uint32_t));
}

}  // namespace

void lay_out_growth_scores(Arena* arena, const Plan& plan, const SessionConfig& config, StructureMemory* memory) {
  const bool dense = grows_by_gradient(config), split = splits_importance(config);
  if (!dense && !split) return;
  uint64_t units = 0, entries = 0, output = 0, candidates = 0;
  const uint64_t rows = config_step_rows(config);
  each_dynamic_layer(plan, [&](uint32_t op, const format::ParamRecord& param) {
    const SparsePattern shape = pattern_shape(param);
    const uint64_t own_units = static_cast<uint64_t>(shape.n_blocks) * static_cast<uint64_t>(shape.rows);
    const uint64_t own_output = tensor_row_floats(plan.tensors[plan.ops[op].output]) * rows;
    StructureLayer layer = {};
    layer.size = static_cast<uint32_t>(param_size(param));
    layer.target = param.nnz;
    const uint64_t own_candidates = param.nnz - structure_rule(config)->exchange(config, 1, layer, param.nnz).keep;
    if (own_units > units) units = own_units;
    if (piece_entries(shape) > entries) entries = piece_entries(shape);
    if (own_output > output) output = own_output;
    if (own_candidates > candidates) candidates = own_candidates;
  });
  GrowthScratch& scratch = memory->scores;
  if (dense) {
    scratch.row_start = arena->take<uint32_t>(units + 1);
    scratch.index = arena->take<uint16_t>(entries + kReadSlack);
    scratch.gradient = arena->take<float>(entries + kReadSlack);
    scratch.keys = arena->take<uint32_t>(2 * candidates);
    scratch.scores = arena->take<float>(2 * candidates);
    scratch.best = arena->take<uint8_t>(2 * candidates);
  }
  if (dense && split) scratch.current = arena->take<float>(entries + kReadSlack);
  if (split) scratch.output_gradient = arena->take<float>(output + kReadSlack);
}

uint64_t growth_scratch_bytes(const Plan& plan, const ScratchTable& kernels, const SessionConfig& config) {
  if (!grows_by_gradient(config)) return 0;
  uint64_t most = 0;
  const Weights no_weights;
  const Workspace no_work;
  const Environment no_environment;
  const Net shapes_only = {plan, no_weights, no_work, no_environment};
  const uint32_t max_rows = config_step_rows(config);
  for (uint32_t rows = next_row_count(0, max_rows); rows != 0; rows = next_row_count(rows, max_rows)) {
    const Pass pass = {shapes_only, rows, Mode::kLearn};
    each_dynamic_layer(plan, [&](uint32_t op, const format::ParamRecord& param) {
      const format::OpRecord& record = plan.ops[op];
      const Tensor x = pass.tensor(record.inputs[0]), dy = pass.tensor(record.output);
      SparsePattern piece = pattern_shape(param);
      piece.nnz = static_cast<uint32_t>(piece_entries(piece));
      const uint64_t bytes = record.kind == format::kOpConv
                                 ? kernels.sparse_conv_backward_weight_scratch_bytes(SparseConvBackwardWeightArgs{
                                       x, dy, piece, nullptr, nullptr, nullptr, op_conv_shape(record)})
                                 : kernels.sparse_linear_backward_weight_scratch_bytes(
                                       SparseLinearBackwardWeightArgs{x, dy, piece, nullptr, nullptr, nullptr});
      if (bytes > most) most = bytes;
    });
  }
  return most;
}

void score_layer(void* user, const format::BackwardRecord& record) {
  if (!kHasStructure) return;
  Session* session = static_cast<Session*>(user);
  StructureMemory& memory = session->structure;
  for (uint32_t i = 0; i < memory.n_layers; i++) {
    StructureLayer& layer = memory.layers[i];
    if (layer.op != record.op) continue;
    const Plan& plan = *session->plan;
    const uint32_t rows = session->step.n_rows;
    const Tensor x = plan_tensor(session->learning(), plan.ops[layer.op].inputs[0], rows, Mode::kLearn);
    const Tensor dy = plan_tensor(session->learning(), record.output_gradient, rows, Mode::kLearn);
    Tensor current = dy;
    const ParamWeights& param = session->weights.params[layer.param];
    if (layer.current_gradient) {
      current = current_rows(dy, session->step.n_current, memory.scores.output_gradient);
      weight_gradient(*session, layer.op, x, current, param.pattern,
                      session->learn.params[layer.param].role == Role::kSelected ? param.selection : nullptr,
                      layer.current_gradient);
    }
    if (layer.growth.keys) find_candidates(session, &layer, x, dy, current);
  }
}

}  // namespace edgecl
