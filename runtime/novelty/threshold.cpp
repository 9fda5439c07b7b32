// Order statistics of scores, bit by bit; the section of a state.
// Never here: scores.
#include "runtime/novelty/threshold.h"

#include <float.h>
#include <string.h>

#include "runtime/state/section_reader.h"
#include "runtime/state/section_writer.h"

namespace edgecl {
namespace {

// Integers in the order of the floats.
uint32_t ordered(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
}
float unordered(uint32_t key) {
  const uint32_t bits = (key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// The k-th smallest, k from 1: the largest key that fewer than k scores are below.
float kth_smallest(const float* scores, uint64_t n, uint64_t k) {
  uint32_t key = 0;
  for (uint32_t bit = 0x80000000u; bit != 0; bit >>= 1) {
    uint64_t below = 0;
    for (uint64_t i = 0; i < n; i++) below += ordered(scores[i]) < (key | bit);
    if (below < k) key |= bit;
  }
  return unordered(key);
}

uint64_t rank_of(double share, uint64_t n) {
  const double exact = share * static_cast<double>(n);
  const uint64_t whole = static_cast<uint64_t>(exact);
  const uint64_t rank = static_cast<double>(whole) < exact ? whole + 1 : whole;
  return rank < 1 ? 1 : rank > n ? n : rank;
}

}  // namespace

bool Thresholds::any() const {
  for (const Threshold& threshold : of) {
    if (threshold.rows > 0) return true;
  }
  return false;
}

bool Thresholds::any_ranked() const {
  for (const Threshold& threshold : of) {
    if (threshold.accept_rank > 0) return true;
  }
  return false;
}

void Thresholds::clear() {
  for (Threshold& threshold : of) threshold = {};
}

Status make_threshold(const float* scores, uint64_t n, double accepted, double kept, Threshold* threshold) {
  if (!(accepted >= 0.5 && accepted <= kept && kept < 1)) {
    return failure(EDGECL_E_ARGUMENT,
                   "expected shares 0.5 <= accepted <= kept < 1; found others; 0.95 and 0.99 are usual");
  }
  if (n == 0) return failure(EDGECL_E_ARGUMENT, "expected scores of held-out rows; found none; hand in some hundreds");
  if (!all_finite(scores, static_cast<int64_t>(n)))
    return failure(EDGECL_E_ARGUMENT, "expected finite scores; found NaN or infinity; leave these rows out");
  threshold->accept_rank = rank_of(accepted, n);
  threshold->accept = kth_smallest(scores, n, threshold->accept_rank);
  threshold->novel = kth_smallest(scores, n, rank_of(kept, n));
  threshold->median = kth_smallest(scores, n, median_rank(n));
  threshold->rows = n;
  threshold->reserved = 0;
  return Status();
}

void write_thresholds(SectionWriter* out, const Thresholds& thresholds) {
  uint32_t n = 0;
  for (const Threshold& threshold : thresholds.of) n += threshold.rows > 0;
  out->list(n);
  for (uint32_t kind = 1; kind <= kNoveltyScores; kind++) {
    const Threshold& threshold = thresholds.of[kind];
    if (threshold.rows == 0) continue;
    out->u64(kind);
    out->floats(&threshold.accept, 1);
    out->floats(&threshold.novel, 1);
    out->u64(threshold.rows);
  }
}

Status read_thresholds(SectionReader* in, Thresholds* thresholds) {
  thresholds->clear();
  const uint32_t n = in->list();
  uint64_t last = 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint64_t kind = in->u64();
    Threshold threshold = {};
    const bool finite = in->floats(1, FLT_MAX, &threshold.accept) && in->floats(1, FLT_MAX, &threshold.novel);
    threshold.rows = in->u64();
    if (in->failed() || kind <= last || kind > kNoveltyScores) return in->corrupt("scores out of order or range");
    if (!finite || threshold.accept > threshold.novel || threshold.rows == 0) return in->corrupt("a bad threshold");
    thresholds->of[kind] = threshold;
    last = kind;
  }
  return Status();
}

}  // namespace edgecl
