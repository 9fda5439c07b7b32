// Memory of everything that learns: its layout in the arena, and its first contents from the bundle.
// Never here: arithmetic of passes and updates.
#include <math.h>
#include <string.h>

#include "runtime/core/executor.h"
#include "runtime/core/executor_ops.h"

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

ParamBuffers lay_out_param(Arena* arena, const Plan& plan, const LearnableOptions& options, uint32_t index) {
  const format::ParamRecord& record = plan.params[index];
  ParamBuffers param = {};
  param.n = param_stored(record);
  param.trainable = record.trainable != 0;
  param.sparse = record.storage == format::kStorageSparse;
  const uint64_t capacity = param.capacity = param.sparse ? record.nnz_capacity : param.n;

  arena->begin_region("weights");
  // Frozen dense values are used where they are; the cast is safe because only trainable values are ever written.
  param.value =
      param.trainable || param.sparse ? arena->take<float>(capacity) : const_cast<float*>(plan.dense_values(index));
  if (param.trainable && options.learning) {
    arena->begin_region("gradients");
    param.gradient = arena->take<float>(capacity);
    if (options.velocity) {
      arena->begin_region("velocity");
      param.velocity = arena->take<float>(capacity);
    }
  }
  if (param.sparse) {
    arena->begin_region("sparsity");
    take_pattern(arena, pattern_shape(record), capacity, false, &param.pattern);
    if (param.trainable && options.learning && options.selection) param.selection = arena->take<uint8_t>(capacity);
    if (options.learning && wants_transposed(plan, index)) {
      take_pattern(arena, transposed_pattern_shape(record), capacity, true, &param.transposed);
      param.transposed_value = arena->take<float>(capacity);
    }
  }
  return param;
}

NormBuffers lay_out_norm(Arena* arena, const Plan& plan, const LearnableOptions& options, const format::OpRecord& op) {
  NormBuffers norm = {};
  arena->begin_region("statistics");
  if (op.kind == format::kOpGroupNorm) {
    const uint64_t n = static_cast<uint64_t>(op.i[0]) * options.max_rows;
    norm.batch_mean = arena->take<float>(n);
    norm.batch_rstd = arena->take<float>(n);
  } else if (op.kind == format::kOpBatchNorm) {
    const uint64_t channels = plan.tensors[op.output].channels;
    norm.running_rstd = arena->take<float>(channels);
    if ((op.flags & format::kOpFlagFrozen) != 0) {
      norm.running_mean = const_cast<float*>(plan.dense_values(op.params[2]));
      norm.running_var = const_cast<float*>(plan.dense_values(op.params[3]));
      return norm;
    }
    norm.running_mean = arena->take<float>(channels);
    norm.running_var = arena->take<float>(channels);
    if (options.learning) {
      norm.batch_mean = arena->take<float>(channels);
      norm.batch_rstd = arena->take<float>(channels);
      norm.batch_var = arena->take<float>(channels);
    }
  }
  return norm;
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
void build_sparse(const Plan& plan, uint32_t index, ParamBuffers* param) {
  SparsePattern& forward = param->pattern;
  forward.nnz = param->transposed.nnz = plan.params[index].nnz;
  param->n = forward.nnz;
  sparse_build(plan.sparse_positions(index), forward.nnz, forward.rows, forward.channels, forward.taps,
               const_cast<uint32_t*>(forward.row_start), const_cast<uint16_t*>(forward.index), nullptr);
  copy_sparse_values(forward, plan.sparse_values(index), param->value);
  if (param->transposed.row_start != nullptr) {
    sparse_transpose(forward, const_cast<uint32_t*>(param->transposed.row_start),
                     const_cast<uint16_t*>(param->transposed.index), const_cast<uint32_t*>(param->transposed.source));
  }
}

}  // namespace

void plan_learnable(Arena* arena, const Plan& plan, const LearnableOptions& options, Buffers* buffers) {
  arena->begin_region("weights");
  ParamBuffers* params = arena->take<ParamBuffers>(plan.params.n);
  NormBuffers* norms = arena->take<NormBuffers>(plan.ops.n);
  const bool hand_out = !arena->measuring() && !arena->exhausted();
  for (uint32_t i = 0; i < plan.params.n; i++) {
    const ParamBuffers param = lay_out_param(arena, plan, options, i);
    if (hand_out) params[i] = param;
  }
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const NormBuffers norm = lay_out_norm(arena, plan, options, plan.ops[i]);
    if (hand_out) norms[i] = norm;
  }
  arena->take<float>(kReadSlack);  // kernels read past the last array
  if (hand_out && !arena->exhausted()) {
    buffers->params = params;
    buffers->norms = norms;
  }
}

void initialise_learnable(const Plan& plan, Buffers* buffers) {
  for (uint32_t i = 0; i < plan.params.n; i++) {
    ParamBuffers& param = buffers->params[i];
    const size_t bytes = static_cast<size_t>(param.capacity) * sizeof(float);
    param.masked = param.skip_gradient = param.rests = false;
    if (param.sparse) {
      build_sparse(plan, i, &param);
    } else if (param.trainable) {
      memcpy(param.value, plan.dense_values(i), bytes);
    }
    if (param.gradient != nullptr) memset(param.gradient, 0, bytes);
    if (param.velocity != nullptr) memset(param.velocity, 0, bytes);
  }
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    if (op.kind != format::kOpBatchNorm || (op.flags & format::kOpFlagFrozen) != 0) continue;
    const size_t bytes = static_cast<size_t>(plan.tensors[op.output].channels) * sizeof(float);
    memcpy(buffers->norms[i].running_mean, plan.dense_values(op.params[2]), bytes);
    memcpy(buffers->norms[i].running_var, plan.dense_values(op.params[3]), bytes);
  }
  refresh_statistics(plan, buffers);
}

void refresh_statistics(const Plan& plan, Buffers* buffers) {
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    if (op.kind != format::kOpBatchNorm) continue;
    const NormBuffers& norm = buffers->norms[i];
    for (uint32_t c = 0; c < plan.tensors[op.output].channels; c++)
      norm.running_rstd[c] = 1.0f / sqrtf(norm.running_var[c] + op.epsilon);
  }
}

}  // namespace edgecl
