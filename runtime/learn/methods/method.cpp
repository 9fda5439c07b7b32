// Finds the method of a configuration, and what it means for the size of a step.
// Never here: what one method does (method_<name>.cpp).
#include "runtime/learn/methods/method.h"

namespace edgecl {
const Method& method_rule(uint32_t number) {
  switch (number) {
#define METHOD(constant, number, name, rule) \
  case format::constant:                     \
    return rule;
#include "runtime/core/methods.def"
#undef METHOD
    default:
      return kFinetune;
  }
}

uint32_t config_draw_rows(const SessionConfig& config) {
  return config.replay_batch < config.replay_capacity ? config.replay_batch : config.replay_capacity;
}

uint32_t config_draws(const SessionConfig& config) {
  if (!learns_by_gradient(config) || config_draw_rows(config) == 0) return 0;
  return method_of(config).n_draws(config);
}

uint32_t config_step_rows(const SessionConfig& config) {
  const uint32_t rehearsed = learns_by_gradient(config) ? config_draw_rows(config) : 0;
  const uint32_t learned = config.max_batch + config_draws(config) * config_draw_rows(config);
  return learned > rehearsed ? learned : rehearsed;
}

bool config_stores_logits(const SessionConfig& config) {
  return config_draws(config) > 0 && method_of(config).stores_logits(config);
}

}  // namespace edgecl
