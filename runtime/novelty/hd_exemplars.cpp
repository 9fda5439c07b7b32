// Minus the largest similarity of a sample's code to the exemplar of a class (Wilson et al. 2023, "Hyperdimensional
// feature fusion for out-of-distribution detection"): from -1, the same code, over 0, which random codes have, to 1.
// Never here: codes and exemplars (heads/hd_head.cpp).
#include "runtime/core/encoder.h"
#include "runtime/heads/hd_head.h"
#include "runtime/novelty/novelty.h"

namespace edgecl {
namespace {

Status check(const HeadMemory& head, const NoveltyMemory&) {
  if (head.hd != nullptr) return Status();
  return failure(EDGECL_E_UNSUPPORTED, "expected a head of codes for the score hd; found another one; set head = hd");
}

Status prepare(const HeadMemory& head, const NoveltyMemory&, const Net&) {
  for (uint32_t c = 0; c < head.columns; c++) {
    if (head.hd->sums.classes[c].n > 0) return Status();
  }
  return failure(EDGECL_E_SEQUENCE, "expected learned rows for the score hd; found none; learn some first");
}

// The logits are the similarities times a scale, so the division gives them back but for its rounding; the integer
// distances do not outlast a pass.
float score(const NoveltyInput& in, uint32_t row) {
  float largest = -1;
  for (int32_t c = 0; c < in.logits.channels; c++) {
    const float similarity = tensor_element(in.logits, row, c, 0) / in.head.hd->score_scale;
    if (in.present[c] && similarity > largest) largest = similarity;
  }
  return -largest;
}

}  // namespace

const NoveltyKind kHdNovelty = {"hd", true, check, prepare, score};

}  // namespace edgecl
