// Unbias experience replay: current rows learn angles alone, replayed rows norms and angles.
// Never here: cosine logits and their gradient (cosine_logits.cpp).
// Lin and others 2023, "UER: a heuristic bias addressing approach for online continual learning", arXiv 2309.04081: of
// a logit |w| |h| cos(w, h), new rows train the angle alone, and the norms are left to the replayed rows, which have
// all classes among them.
#include "runtime/learn/methods/cosine_logits.h"
#include "runtime/learn/methods/method.h"

namespace edgecl {
namespace {

const PresetSetting kSettings[] = {{RecipeWord::cosine_scale, 16}, kPresetEnd};

uint32_t n_draws(const SessionConfig&) {
  return 1;
}
bool stores_logits(const SessionConfig&) {
  return false;
}

// loss = mean over current rows of CE(cosine_scale * cosine, all present classes; with class_mask those of the batch)
//      + mean over replayed rows of CE(ordinary logits, all present classes): a sum of two means, as in ER-ACE.
// Predictions always are by ordinary logits.
void losses(const SessionConfig& config, const StepRows& rows, LossTerms* terms) {
  const uint32_t replayed = rows.n[kSegmentDraw1];
  const ClassScope scope = config.class_mask ? ClassScope::kBatch : ClassScope::kPresent;
  terms->add(
      {LossKind::kCosineCrossEntropy, kSegmentCurrent, scope, 1.0f / static_cast<float>(rows.n[kSegmentCurrent])});
  if (replayed)
    terms->add({LossKind::kCrossEntropy, kSegmentDraw1, ClassScope::kPresent, 1.0f / static_cast<float>(replayed)});
}

Status check(const Plan& plan, const SessionConfig& config) {
  EDGECL_RETURN_IF_FAILED(check_cosine_head(plan));
  if (config.cosine_scale > 0) return Status();
  return failure(EDGECL_E_ARGUMENT,
                 "expected cosine_scale in (0, 1e6] for the method uer; found a value outside it; set one such as 10");
}

}  // namespace

const Method kUer = {"unbiased ER: current rows by cosine logits",
                     "Lin et al. 2023",
                     kComparedLosses,
                     kNeedsReplay,
                     kSettings,
                     n_draws,
                     stores_logits,
                     losses,
                     add_norm_gradients,
                     check};

}  // namespace edgecl
