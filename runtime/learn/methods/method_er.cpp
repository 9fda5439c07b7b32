// Experience replay: current and replayed rows count alike.
// Never here: stored logits.
// Rolnick, Ahuja, Schwarz, Lillicrap, Wayne 2019, "Experience replay for continual learning"; Chaudhry and others 2019,
// "On tiny episodic memories in continual learning".
#include "runtime/learn/methods/method.h"

namespace edgecl {
namespace {

uint32_t n_draws(const SessionConfig&) {
  return 1;
}
bool stores_logits(const SessionConfig&) {
  return false;
}

// loss = mean over the UNION of current and replayed rows of CE(all present classes). With class_mask the current rows
// see the classes of the batch only. The mean over the union keeps the step as long as that of fine-tuning, however
// many rows were replayed.
void losses(const SessionConfig& config, const StepRows& rows, LossTerms* terms) {
  const uint32_t replayed = rows.n[kSegmentDraw1];
  const float weight = 1.0f / static_cast<float>(rows.n[kSegmentCurrent] + replayed);
  const ClassScope scope = config.class_mask ? ClassScope::kBatch : ClassScope::kPresent;
  terms->add({LossKind::kCrossEntropy, kSegmentCurrent, scope, weight});
  if (replayed) terms->add({LossKind::kCrossEntropy, kSegmentDraw1, ClassScope::kPresent, weight});
}

}  // namespace

const Method kEr = {"experience replay",
                    "Chaudhry et al. 2019",
                    kComparedLosses,
                    kNeedsReplay,
                    nullptr,
                    n_draws,
                    stores_logits,
                    losses};

}  // namespace edgecl
