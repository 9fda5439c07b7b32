// Fine-tuning: the lower bound of every comparison. Learns from the current batch alone and forgets.
// Never here: replay.
#include "runtime/learn/methods/method.h"

namespace edgecl {
namespace {

uint32_t n_draws(const SessionConfig&) {
  return 0;
}
bool stores_logits(const SessionConfig&) {
  return false;
}

// loss = mean over current rows of CE(all present classes); with class_mask over the classes of the batch.
void losses(const SessionConfig& config, const StepRows& rows, LossTerms* terms) {
  const ClassScope scope = config.class_mask ? ClassScope::kBatch : ClassScope::kPresent;
  terms->add({LossKind::kCrossEntropy, kSegmentCurrent, scope, 1.0f / static_cast<float>(rows.n[kSegmentCurrent])});
}

}  // namespace

const Method kFinetune = {"plain SGD on the stream", "-", kComparedLosses, 0, nullptr, n_draws, stores_logits, losses};

}  // namespace edgecl
