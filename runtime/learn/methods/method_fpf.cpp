// k-FPF: plain steps on the stream, and now and then a rehearsal of the parameters that forget most.
// Never here: the rehearsal (rehearse.h); when to call for it is the caller's.
// Zhao, Zhou, Long, Jiang, Zhang 2023, "Does continual learning equally forget all parameters?".
#include "runtime/learn/methods/method.h"

namespace edgecl {
namespace {

// Two rehearsals in a task of a thousand steps.
const PresetSetting kSettings[] = {{RecipeWord::rehearse_steps, 100}, {RecipeWord::rehearse_interval, 500}, kPresetEnd};

uint32_t n_draws(const SessionConfig&) {
  return 0;  // the buffer fills, but steps draw nothing from it
}
bool stores_logits(const SessionConfig&) {
  return false;
}

// loss = mean over current rows of CE(all present classes); with class_mask over the classes of the batch.
void losses(const SessionConfig& config, const StepRows& rows, LossTerms* terms) {
  const ClassScope scope = config.class_mask ? ClassScope::kBatch : ClassScope::kPresent;
  terms->add({LossKind::kCrossEntropy, kSegmentCurrent, scope, 1.0f / static_cast<float>(rows.n[kSegmentCurrent])});
}

Status check(const Plan&, const SessionConfig& config) {
  if (config_draw_rows(config) > 0) return Status();
  return failure(EDGECL_E_ARGUMENT,
                 "expected replay_capacity and replay_batch of at least 1 for the method fpf; found %u and %u; set "
                 "both, or choose finetune",
                 config.replay_capacity, config.replay_batch);
}

}  // namespace

const Method kFpf = {"k-FPF: sensitive parameters fine-tuned on the buffer now and then",
                     "Zhao et al. 2023",
                     kComparedLosses,
                     kNeedsReplay,
                     kSettings,
                     n_draws,
                     stores_logits,
                     losses,
                     nullptr,
                     check};

}  // namespace edgecl
