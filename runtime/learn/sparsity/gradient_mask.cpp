// Finds the policy of a configuration.
// Never here: what one policy does (gradient_mask_<name>.cpp).
#include "runtime/learn/sparsity/gradient_mask.h"

namespace edgecl {

const GradientPolicy* gradient_policy(const SessionConfig& config) {
  if (config.predict_only) return nullptr;
  switch (config.sparsity.gradient_mask) {
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

bool selects_entries(const SessionConfig& config) {
  const GradientPolicy* policy = gradient_policy(config);
  return policy != nullptr && policy != &kHft;
}

}  // namespace edgecl
