// Dense read-out of parameters.
// Never here: checks of the caller's arguments, the exported form.
#include "runtime/learn/weights.h"

#include <string.h>

namespace edgecl {
namespace {

// The running statistic that the parameter shipped, or null for weights.
const float* running_statistic(const Session& session, uint32_t param) {
  const Plan& plan = *session.plan;
  for (uint32_t i = 0; i < plan.ops.n; i++) {
    const format::OpRecord& op = plan.ops[i];
    if (op.kind != format::kOpBatchNorm) continue;
    if (op.params[2] == param) return session.weights.norms[i].running_mean;
    if (op.params[3] == param) return session.weights.norms[i].running_var;
  }
  return nullptr;
}

void expand(const ParamWeights& param, float* out) {
  const SparsePattern& pattern = param.pattern;
  const uint32_t taps = static_cast<uint32_t>(pattern.taps), channels = static_cast<uint32_t>(pattern.channels);
  for (int32_t block = 0; block < pattern.n_blocks; block++) {
    const uint32_t first = static_cast<uint32_t>(block) * static_cast<uint32_t>(pattern.channel_block);
    for (int32_t row = 0; row < pattern.rows; row++) {
      const uint32_t* start = pattern.row_start + static_cast<int64_t>(block) * pattern.rows + row;
      for (uint32_t k = start[0]; k < start[1]; k++) {
        const uint32_t index = pattern.index[k];
        out[(static_cast<uint64_t>(row) * channels + first + index / taps) * taps + index % taps] = param.value[k];
      }
    }
  }
}

}  // namespace

void read_weights(const Session& session, uint32_t param, float* out) {
  const ParamWeights& weights = session.weights.params[param];
  const uint64_t bytes = param_size(session.plan->params[param]) * sizeof(float);
  if (weights.sparse) {
    memset(out, 0, bytes);
    expand(weights, out);
    return;
  }
  const float* statistic = running_statistic(session, param);
  memcpy(out, statistic ? statistic : weights.value, bytes);
}

}  // namespace edgecl
