// Memory of everything that learns: its layout in the arena, and its first contents from the bundle.
// Never here: arithmetic of passes and updates.
#include "runtime/core/weights.h"

#include <string.h>

#include "kernels/arithmetic.h"
#include "runtime/core/executor_ops.h"
#include "runtime/core/ops/op_rule.h"

namespace edgecl {
namespace {

// Whether some op that reads this weight computes an input gradient.
bool wants_transposed(const Plan& plan, uint32_t param) {
  for (const format::BackwardRecord& record : plan.backward) {
    const format::OpRecord& op = plan.ops[record.op];
    const bool layer = op.kind == format::kOpConv || op.kind == format::kOpLinear;
    if (layer && op.params[0] == param && record.input_gradient[0] != format::kNone) return true;
  }
  return false;
}

// Arrays of a pattern with room for `capacity` entries.
void take_pattern(Arena* arena, const SparsePattern& shape, uint64_t capacity, bool with_source, SparsePattern* out) {
  *out = shape;
  out->row_start = arena->take<uint32_t>(static_cast<uint64_t>(shape.n_blocks) * static_cast<uint64_t>(shape.rows) + 1);
  out->index = arena->take<uint16_t>(capacity);
  out->source = with_source ? arena->take<uint32_t>(capacity) : nullptr;
}

void lay_out_param(Arena* arena, const Plan& plan, const WeightOptions& options, uint32_t index, ParamWeights* weights,
                   ParamWork* work) {
  const format::ParamRecord& record = plan.params[index];
  const bool learns = record.trainable != 0 && options.learning;
  ParamWeights param = {};
  param.n = param_stored(record);
  param.sparse = record.storage == format::kStorageSparse;
  const uint64_t capacity = param.capacity = param_capacity(record);

  arena->begin_region("weights");
  const bool own = (record.trainable != 0 && options.own) || param.sparse;
  if (own) param.own = arena->take<float>(capacity);
  param.value = own ? param.own : plan.dense_values(index);
  *work = {};
  work->role = learns ? Role::kTrains : Role::kFrozen;
  if (learns) {
    arena->begin_region("gradients");
    work->gradient = arena->take<float>(capacity);
    if (options.velocity) {
      arena->begin_region("velocity");
      param.velocity = arena->take<float>(capacity);
    }
  }
  if (param.sparse) {
    arena->begin_region("sparsity");
    take_pattern(arena, pattern_shape(record), capacity, false, &param.pattern);
    if (learns && options.selection) param.selection = arena->take<uint8_t>(capacity);
    if (options.learning && wants_transposed(plan, index)) {
      take_pattern(arena, transposed_pattern_shape(record), capacity, true, &param.transposed);
      work->transposed_value = arena->take<float>(capacity);
    }
  }
  *weights = param;
}

// Room for the most that one operator adds to gradients of others.
float* take_added(Arena* arena, const Plan& plan) {
  uint64_t most = 0;
  for (const format::SharedRecord& shared : plan.shared) {
    const uint64_t floats = added_gradient_begin(plan, shared.op, 4);
    if (floats > most) most = floats;
  }
  if (most == 0) return nullptr;
  arena->begin_region("gradients");
  return arena->take<float>(most);
}

void lay_out_group_norm(Arena* arena, const format::OpRecord& op, uint32_t max_rows, NormWork* work) {
  const uint64_t n = static_cast<uint64_t>(op.i[0]) * max_rows;
  work->batch_mean = arena->take<float>(n);
  work->batch_rstd = arena->take<float>(n);
}

// The first batch norm with these running statistics: all that have them update and read them as one.
uint32_t owner_of_statistics(const Plan& plan, const format::OpRecord& op) {
  uint32_t i = 0;
  while (!has_running_statistics(plan.ops[i]) || plan.ops[i].params[2] != op.params[2] ||
         plan.ops[i].params[3] != op.params[3])
    i++;
  return i;
}

// `before`: of the operators before this one, where memory is handed out.
void lay_out_norm(Arena* arena, const Plan& plan, const WeightOptions& options, const format::OpRecord& op,
                  const NormWeights* before, NormWeights* weights, NormWork* work) {
  *weights = {};
  *work = {};
  arena->begin_region("statistics");
  if (kHasGroupNorm && op.kind == format::kOpGroupNorm) {
    lay_out_group_norm(arena, op, options.max_rows, work);
  } else if (kHasBatchNorm && op.kind == format::kOpBatchNorm) {
    const uint64_t channels = plan.tensors[op.output].channels;
    weights->running_rstd = arena->take<float>(channels);
    if (!has_running_statistics(op)) {
      weights->running_mean = plan.dense_values(op.params[2]);
      weights->running_var = plan.dense_values(op.params[3]);
      return;
    }
    const uint32_t owner = owner_of_statistics(plan, op);
    if (&plan.ops[owner] == &op) {
      weights->running_mean = weights->own_mean = arena->take<float>(channels);
      weights->running_var = weights->own_var = arena->take<float>(channels);
    } else if (before != nullptr) {
      weights->running_mean = weights->own_mean = before[owner].own_mean;
      weights->running_var = weights->own_var = before[owner].own_var;
    }
    if (options.learning) {
      work->batch_mean = arena->take<float>(channels);
      work->batch_rstd = arena->take<float>(channels);
      work->batch_var = arena->take<float>(channels);
    }
  } else if (options.learning && op_rule(op.kind)->kept_floats != nullptr &&
             plan.backward_of(static_cast<uint32_t>(&op - plan.ops.data)) != nullptr) {
    work->batch_mean = arena->take<float>(op_rule(op.kind)->kept_floats(plan, op) * options.max_rows);
  }
}

// The bundle keeps values by ascending flat position: rows, and in a row channels, ascending. The blocked order has the
// entries of one row and block together in that same order, so both are walked side by side.
void copy_sparse_values(const SparsePattern& pattern, const float* flat_values, float* blocked) {
  uint32_t k = 0;
  for (int32_t row = 0; row < pattern.rows; row++) {
    for (int32_t block = 0; block < pattern.n_blocks; block++) {
      const int64_t unit = static_cast<int64_t>(block) * pattern.rows + row;
      for (uint32_t e = pattern.row_start[unit]; e < pattern.row_start[unit + 1]; e++) blocked[e] = flat_values[k++];
    }
  }
}

// The arrays of a session's patterns are the session's own memory, hence the casts.
void build_sparse(const Plan& plan, uint32_t index, ParamWeights* param) {
  SparsePattern& forward = param->pattern;
  forward.nnz = param->transposed.nnz = plan.params[index].nnz;
  param->n = forward.nnz;
  sparse_build(plan.sparse_positions(index), forward.nnz, forward.rows, forward.channels, forward.taps,
               const_cast<uint32_t*>(forward.row_start), const_cast<uint16_t*>(forward.index), nullptr);
  copy_sparse_values(forward, plan.sparse_values(index), param->own);
  if (param->transposed.row_start != nullptr) {
    sparse_transpose(forward, const_cast<uint32_t*>(param->transposed.row_start),
                     const_cast<uint16_t*>(param->transposed.index), const_cast<uint32_t*>(param->transposed.source));
  }
}

}  // namespace

void lay_out_weights(Arena* arena, const Plan& plan, const WeightOptions& options, Weights* weights, Workspace* work) {
  arena->begin_region("weights");
  Weights own;
  own.params = arena->take<ParamWeights>(plan.params.n);
  own.norms = arena->take<NormWeights>(plan.ops.n);
  ParamWork* const param_work = arena->take<ParamWork>(plan.params.n);
  NormWork* const norm_work = arena->take<NormWork>(plan.ops.n);
  const bool hand_out = !arena->measuring() && !arena->exhausted();
  for (uint32_t i = 0; i < plan.params.n; i++) {
    ParamWeights of_weights;
    ParamWork of_work;
    lay_out_param(arena, plan, options, i, &of_weights, &of_work);
    if (!hand_out) continue;
    own.params[i] = of_weights;
    param_work[i] = of_work;
  }
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    NormWeights of_weights;
    NormWork of_work;
    lay_out_norm(arena, plan, options, plan.ops[i], hand_out ? own.norms : nullptr, &of_weights, &of_work);
    if (!hand_out) continue;
    own.norms[i] = of_weights;
    norm_work[i] = of_work;
  }
  float* const added = options.learning ? take_added(arena, plan) : nullptr;
  arena->take<float>(kReadSlack);  // kernels read past the last array
  if (!hand_out || arena->exhausted()) return;
  *weights = own;
  work->params = param_work;
  work->norms = norm_work;
  work->added = added;
}

NormWork* lay_out_group_norms(Arena* arena, const Plan& plan, uint32_t max_rows) {
  NormWork* const norms = arena->take<NormWork>(plan.ops.n);
  const bool hand_out = !arena->measuring() && !arena->exhausted();
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    NormWork norm = {};
    if (kHasGroupNorm && plan.ops[i].kind == format::kOpGroupNorm)
      lay_out_group_norm(arena, plan.ops[i], max_rows, &norm);
    if (hand_out) norms[i] = norm;
  }
  return norms;
}

void initialise_weights(const Plan& plan, const Weights& weights, const Workspace& work) {
  for (uint32_t i = 0; i < plan.params.n; i++) {
    ParamWeights& param = weights.params[i];
    const size_t bytes = static_cast<size_t>(param.capacity) * sizeof(float);
    if (param.sparse) {
      build_sparse(plan, i, &param);
    } else if (param.own != nullptr) {
      memcpy(param.own, plan.dense_values(i), bytes);
    }
    if (work.params[i].gradient != nullptr) memset(work.params[i].gradient, 0, bytes);
    if (param.velocity != nullptr) memset(param.velocity, 0, bytes);
  }
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    if (!has_running_statistics(op)) continue;
    const size_t bytes = static_cast<size_t>(plan.tensors[op.output].channels) * sizeof(float);
    memcpy(weights.norms[i].own_mean, plan.dense_values(op.params[2]), bytes);
    memcpy(weights.norms[i].own_var, plan.dense_values(op.params[3]), bytes);
  }
  reset_roles(plan, work);
  refresh_statistics(plan, weights);
}

void reset_roles(const Plan& plan, const Workspace& work) {
  for (uint32_t p = 0; p < plan.params.n; p++)
    work.params[p].role = work.params[p].gradient ? Role::kTrains : Role::kFrozen;
}

void refresh_statistics(const Plan& plan, const Weights& weights) {
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    if (!kHasBatchNorm || op.kind != format::kOpBatchNorm) continue;
    const NormWeights& norm = weights.norms[i];
    for (uint32_t c = 0; c < plan.tensors[op.output].channels; c++)
      norm.running_rstd[c] = 1.0f / square_root(norm.running_var[c] + op.epsilon);
  }
}

}  // namespace edgecl
