// Finds the policy of a configuration.
// Never here: what one policy does (gradient_mask_<name>.cpp).
#include "runtime/learn/sparsity/gradient_mask.h"

#include "runtime/core/weights.h"
#include "runtime/learn/session.h"

namespace edgecl {

const GradientPolicy* gradient_policy(const SessionConfig& config) {
  if (!kHasStructure || !learns_by_gradient(config)) return nullptr;
  switch (config.gradient_mask) {
    case format::kGradientDgm:
      return &kDgm;
    case format::kGradientMigu:
      return &kMigu;
    case format::kGradientHft:
      return &kHft;
    default:
      return nullptr;
  }
}

void choose_roles(Session* session) {
  reset_roles(*session->plan, session->learn);
  const GradientPolicy* policy = gradient_policy(session->config);
  if (policy && policy->begin_step) policy->begin_step(session);
  session->weights_trained = 0;
  for (uint32_t p = 0; p < session->plan->params.n; p++)
    session->weights_trained += entries_with_gradient(session->weights.params[p], session->learn.params[p].role);
}

bool selects_entries(const SessionConfig& config) {
  const GradientPolicy* policy = gradient_policy(config);
  return policy != nullptr && policy != &kHft;
}

}  // namespace edgecl
