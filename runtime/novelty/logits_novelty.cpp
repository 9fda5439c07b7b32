// Scores of the logits alone: minus the largest (Hendrycks et al. 2022, "Scaling out-of-distribution detection for
// real-world settings"), and minus their log-sum-exp, the energy (Liu et al. 2020, "Energy-based out-of-distribution
// detection").
// Never here: embeddings.
#include "kernels/exp_log.h"
#include "runtime/core/encoder.h"
#include "runtime/novelty/novelty.h"

namespace edgecl {
namespace {

Status any_session(const HeadMemory&, const NoveltyMemory&) {
  return Status();
}
Status nothing(const HeadMemory&, const NoveltyMemory&, const Net&) {
  return Status();
}

float largest_logit(const NoveltyInput& in, uint32_t row) {
  float largest = kNoScore;
  for (int32_t c = 0; c < in.logits.channels; c++) {
    const float z = tensor_element(in.logits, row, c, 0);
    if (in.present[c] && z > largest) largest = z;
  }
  return largest;
}

float max_logit(const NoveltyInput& in, uint32_t row) {
  return -largest_logit(in, row);
}

float energy(const NoveltyInput& in, uint32_t row) {
  const float largest = largest_logit(in, row);
  float sum = 0;
  for (int32_t c = 0; c < in.logits.channels; c++) {
    if (in.present[c]) sum += exp_scalar(tensor_element(in.logits, row, c, 0) - largest);
  }
  return sum > 0 ? -(largest + log_scalar(sum)) : -largest;
}

}  // namespace

const NoveltyKind kMaxLogitNovelty = {"max_logit", true, any_session, nothing, max_logit};
const NoveltyKind kEnergyNovelty = {"energy", true, any_session, nothing, energy};

}  // namespace edgecl
