// Dark Experience Replay++: replay of stored logits and of labels.
// Never here: how logits are stored (replay.cpp).
// Buzzega, Boschini, Porrello, Abati, Calderara 2020, "Dark experience for general continual learning: a strong, simple
// baseline".
#include "runtime/learn/methods/method.h"

namespace edgecl {
namespace {

// Two independent draws: one for the logits, one for the labels. A term of weight 0 costs no rows; alpha > 0, beta = 0
// is plain DER. The first draw always is segment 1, so with alpha = 0 the labels' draw stands there.
uint32_t n_draws(const SessionConfig& config) {
  return (config.alpha > 0 ? 1 : 0) + (config.beta > 0 ? 1 : 0);
}
bool stores_logits(const SessionConfig& config) {
  return config.alpha > 0;
}

// loss = mean CE(current, all present classes; with class_mask those of the batch)
//      + alpha * mean over rows of draw 1 and over present classes of (logit - stored logit)^2
//      + beta * mean CE(draw 2, all present classes).
// The paper's squared norm is a sum over logits; the mean is what its released code and the reference runs use.
void losses(const SessionConfig& config, const StepRows& rows, LossTerms* terms) {
  const ClassScope scope = config.class_mask ? ClassScope::kBatch : ClassScope::kPresent;
  terms->add({LossKind::kCrossEntropy, kSegmentCurrent, scope, 1.0f / static_cast<float>(rows.n[kSegmentCurrent])});
  uint32_t segment = kSegmentDraw1;
  if (config.alpha > 0) {
    const uint32_t n = rows.n[segment];
    const float logits = static_cast<float>(n) * static_cast<float>(rows.n_present);
    if (n)
      terms->add({LossKind::kLogitsMse, static_cast<Segment>(segment), ClassScope::kPresent, config.alpha / logits});
    segment++;
  }
  if (config.beta > 0) {
    const uint32_t n = rows.n[segment];
    if (n) {
      terms->add({LossKind::kCrossEntropy, static_cast<Segment>(segment), ClassScope::kPresent,
                  config.beta / static_cast<float>(n)});
    }
  }
}

}  // namespace

const Method kDerpp = {"DER++, replay of logits and labels",
                       "Buzzega et al. 2020",
                       kComparedLosses,
                       kNeedsReplay,
                       nullptr,
                       n_draws,
                       stores_logits,
                       losses};

}  // namespace edgecl
