// ER-ACE: experience replay with asymmetric cross-entropy.
// Never here: stored logits, a choice about the class mask (it is the method).
// Caccia, Aljundi, Asadi, Tuytelaars, Pineau, Belilovsky 2022, "New insights on reducing abrupt representation change
// in online continual learning".
#include "runtime/learn/methods/method.h"

namespace edgecl {
namespace {

uint32_t n_draws(const SessionConfig&) {
  return 1;
}
bool stores_logits(const SessionConfig&) {
  return false;
}

// loss = mean over current rows of CE(classes in the current batch only) + mean over replayed rows of CE(all present
// classes): a SUM of two means, so at one learning rate its step is about twice that of ER. Current rows never push old
// classes down: replay alone does.
void losses(const SessionConfig&, const StepRows& rows, LossTerms* terms) {
  const uint32_t replayed = rows.n[kSegmentDraw1];
  terms->add({LossKind::kCrossEntropy, kSegmentCurrent, ClassScope::kBatch,
              1.0f / static_cast<float>(rows.n[kSegmentCurrent])});
  if (replayed)
    terms->add({LossKind::kCrossEntropy, kSegmentDraw1, ClassScope::kPresent, 1.0f / static_cast<float>(replayed)});
}

}  // namespace

const Method kErAce = {"ER with asymmetric cross-entropy",
                       "Caccia et al. 2022",
                       kComparedLosses,
                       kNeedsReplay,
                       nullptr,
                       n_draws,
                       stores_logits,
                       losses};

}  // namespace edgecl
