// Facts that both directions of the state format need: section sizes, flags, and which entries there are.
// Never here: bytes of a state.
#ifndef EDGECL_RUNTIME_LEARN_STATE_LAYOUT_H_
#define EDGECL_RUNTIME_LEARN_STATE_LAYOUT_H_

#include <stdint.h>

#include "runtime/core/weights.h"
#include "runtime/learn/session.h"
#include "runtime/learn/sparsity/gradient_mask.h"
#include "runtime/learn/state_format.h"

namespace edgecl {

inline uint32_t state_flags(const SessionConfig& config) {
  if (config.predict_only) return 0;
  const GradientPolicy* policy = gradient_policy(config);
  return state_format::kStateLearning | (config.momentum > 0 ? state_format::kStateVelocity : 0u) |
         (policy && policy->keeps_selection ? state_format::kStateSelection : 0u) |
         (config.latent_replay ? state_format::kStateLatent : 0u);
}

// Bytes of one parameter in PARAMS that holds n scalars, and the payload of STATISTICS.
uint64_t state_param_bytes(bool sparse, uint64_t n, uint32_t flags);
uint64_t state_statistics_bytes(const Plan& plan);
uint32_t state_params_count(const Plan& plan);
uint32_t state_statistics_count(const Plan& plan);
// Bytes of one exemplar in REPLAY.
uint64_t state_exemplar_bytes(uint64_t sample_bytes, uint32_t logits_width);

// Flat position of the k-th entry of (block, row) of a blocked pattern.
inline uint32_t flat_position(const SparsePattern& pattern, int32_t block, int32_t row, uint32_t k) {
  const uint32_t taps = static_cast<uint32_t>(pattern.taps);
  const uint32_t index = pattern.index[k];
  const uint32_t channel = static_cast<uint32_t>(block) * static_cast<uint32_t>(pattern.channel_block) + index / taps;
  return (static_cast<uint32_t>(row) * static_cast<uint32_t>(pattern.channels) + channel) * taps + index % taps;
}

// Calls visit(flat position) for every entry in blocked order, until it returns false; returns whether all were
// visited.
template <class Visit>
bool each_position(const SparsePattern& pattern, const Visit& visit) {
  for (int32_t block = 0; block < pattern.n_blocks; block++) {
    for (int32_t row = 0; row < pattern.rows; row++) {
      const uint32_t* start = pattern.row_start + static_cast<int64_t>(block) * pattern.rows + row;
      for (uint32_t k = start[0]; k < start[1]; k++) {
        if (!visit(flat_position(pattern, block, row, k))) return false;
      }
    }
  }
  return true;
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_STATE_LAYOUT_H_
