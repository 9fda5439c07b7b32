// Finds the method of a configuration, and what it means for the size of a step.
// Never here: what one method does (method_<name>.cpp).
#include "runtime/learn/methods/method.h"

#include <float.h>

#include "runtime/learn/methods/cosine_logits.h"

namespace edgecl {
namespace {

constexpr float kLargestCosineScale = 1e6f;

}  // namespace

const Method& method_of(const SessionConfig& config) {
  switch (config.method) {
    case format::kMethodEr:
      return kEr;
    case format::kMethodDerpp:
      return kDerpp;
    case format::kMethodErAce:
      return kErAce;
    case format::kMethodUer:
      return kUer;
    case format::kMethodFpf:
      return kFpf;
    default:
      return kFinetune;
  }
}

Status check_method(const Plan& plan, const SessionConfig& config) {
  if (config.method == format::kMethodFpf && config_draw_rows(config) == 0) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected replay_capacity and replay_batch of at least 1 for the method fpf; found %u and %u; set "
                   "both, or choose finetune",
                   config.replay_capacity, config.replay_batch);
  }
  if (config.method != format::kMethodUer) return Status();
  EDGECL_RETURN_IF_FAILED(check_cosine_head(plan));
  if (config.cosine_scale >= FLT_MIN && config.cosine_scale <= kLargestCosineScale) return Status();
  return failure(EDGECL_E_ARGUMENT,
                 "expected cosine_scale in (0, 1e6] for the method uer; found a value outside it; set one such as 10");
}

uint32_t config_draw_rows(const SessionConfig& config) {
  return config.replay_batch < config.replay_capacity ? config.replay_batch : config.replay_capacity;
}

uint32_t config_draws(const SessionConfig& config) {
  if (config.predict_only || config_draw_rows(config) == 0) return 0;
  return method_of(config).n_draws(config);
}

uint32_t config_step_rows(const SessionConfig& config) {
  const uint32_t rehearsed = config.predict_only ? 0 : config_draw_rows(config);
  const uint32_t learned = config.max_batch + config_draws(config) * config_draw_rows(config);
  return learned > rehearsed ? learned : rehearsed;
}

bool config_stores_logits(const SessionConfig& config) {
  return config_draws(config) > 0 && method_of(config).stores_logits(config);
}

}  // namespace edgecl
