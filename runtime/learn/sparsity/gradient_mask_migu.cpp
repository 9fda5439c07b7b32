// Magnitude-based gradient updating: of each sparse layer the output rows that spoke loudest in the step are updated.
// Never here: selection by rank (top_k.h).
// Du, Cheng, Luo, Qiu, Huang, Cheung, Cheng, Fu 2024, "Unlocking continual learning abilities in language models".
// Their share is 0.3. An activation that was fused into the layer is part of its output here. A layer with several uses
// is judged by its last.
#include <math.h>

#include "runtime/core/executor_ops.h"
#include "runtime/learn/session.h"
#include "runtime/learn/sparsity/gradient_mask.h"
#include "runtime/learn/sparsity/top_k.h"

namespace edgecl {
namespace {

// Sum of |y| over the rows of the batch and the plane of one channel: 16 virtual lanes, then their sum in order.
float row_magnitude(const Tensor& y, int32_t channel) {
  float lanes[kVirtualLanes] = {};
  for (int32_t g = 0; g < y.groups; g++) {
    const float* plane = y.data + (static_cast<int64_t>(g) * y.channels + channel) * y.plane();
    for (int64_t i = 0; i < y.plane(); i++) lanes[i % kVirtualLanes] += fabsf(plane[i]);
  }
  float sum = 0;
  for (const float lane : lanes) sum += lane;
  return sum;
}

void begin_step(Session* session) {
  if (session->counters.tasks == 0) return;  // the first task has nothing to protect
  for (uint32_t i = 0; i < session->structure.n_layers; i++)
    session->learn.params[session->structure.layers[i].param].role = Role::kSelected;
}

void select_rows(const SparsePattern& pattern, const uint8_t* chosen, ParamWeights* param) {
  uint64_t n = 0;
  for (int32_t block = 0; block < pattern.n_blocks; block++) {
    for (int32_t row = 0; row < pattern.rows; row++) {
      const uint32_t* start = pattern.row_start + static_cast<int64_t>(block) * pattern.rows + row;
      for (uint32_t k = start[0]; k < start[1]; k++) param->selection[k] = chosen[row];
      if (chosen[row]) n += start[1] - start[0];
    }
  }
  param->n_selected = n;
}

void after_forward(void* user, uint32_t op) {
  Session* session = static_cast<Session*>(user);
  if (session->counters.tasks == 0) return;
  for (uint32_t i = 0; i < session->structure.n_layers; i++) {
    const StructureLayer& layer = session->structure.layers[i];
    if (layer.op != op) continue;
    ParamWeights& param = session->weights.params[layer.param];
    const Tensor y =
        plan_tensor(session->learning(), session->plan->ops[op].output, session->step.n_rows, Mode::kLearn);
    const uint32_t rows = static_cast<uint32_t>(param.pattern.rows);
    const uint32_t most = share_of(session->config.gradient_keep, rows);
    for (uint32_t row = 0; row < rows; row++)
      session->step.row_scores[row] = row_magnitude(y, static_cast<int32_t>(row));
    mark_largest(session->step.row_scores, rows, most > 0 ? most : 1, session->step.row_chosen);
    select_rows(param.pattern, session->step.row_chosen, &param);
  }
}

}  // namespace

const GradientPolicy kMigu = {begin_step, after_forward, nullptr, false};

}  // namespace edgecl
