// Dynamic gradient masking: between two refreshes only the weights whose gradient was largest get one.
// Never here: selection by rank (top_k.h).
// Wang et al. 2022, "SparCL", section on dynamic gradient masking; the score is that of the released code, |gradient|
// of the whole batch. The share counts stored weights, so 0.8 is the code's gradient sparsity 0.80 at sparsity 0.75.
#include <string.h>

#include "runtime/learn/session.h"
#include "runtime/learn/sparsity/gradient_mask.h"
#include "runtime/learn/sparsity/top_k.h"

namespace edgecl {
namespace {

// The step under way computes all gradients and chooses anew.
bool refreshes(const Session& session) {
  return session.counters.mask_stale != 0 || session.counters.steps_in_task % session.config.gradient_interval == 0;
}

void begin_step(Session* session) {
  if (refreshes(*session)) return;
  for (uint32_t i = 0; i < session->structure.n_layers; i++)
    session->learn.params[session->structure.layers[i].param].role = Role::kSelected;
}

void commit(Session* session) {
  if (!refreshes(*session)) return;
  for (uint32_t i = 0; i < session->structure.n_layers; i++) {
    const uint32_t p = session->structure.layers[i].param;
    ParamWeights& param = session->weights.params[p];
    float* gradient = session->learn.params[p].gradient;
    const uint32_t n = static_cast<uint32_t>(param.n);
    const uint32_t chosen = share_of(session->config.gradient_keep, n);
    param.n_selected = chosen > 0 ? chosen : 1;
    mark_largest(gradient, n, static_cast<uint32_t>(param.n_selected), param.selection);
    for (uint32_t k = 0; k < n; k++) {  // by bits: a branch would be guessed wrong too often
      uint32_t bits;
      memcpy(&bits, gradient + k, sizeof bits);
      bits &= param.selection[k] != 0 ? ~0u : 0u;
      memcpy(gradient + k, &bits, sizeof bits);
    }
  }
  session->counters.mask_stale = 0;
}

}  // namespace

const GradientPolicy kDgm = {begin_step, nullptr, commit, true};

}  // namespace edgecl
