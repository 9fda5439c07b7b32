// Thresholds of novelty scores: where samples stop to be accepted, and where they begin to be novel.
// Never here: scores.
#ifndef EDGECL_RUNTIME_NOVELTY_THRESHOLD_H_
#define EDGECL_RUNTIME_NOVELTY_THRESHOLD_H_

#include "runtime/novelty/novelty.h"

namespace edgecl {

enum class Decision : int32_t { kAccept = 0, kUncertain = 1, kNovel = 2 };

struct Threshold {
  float accept, novel;  // accept <= novel
  uint64_t rows;        // it was made from; 0: there is none
  uint64_t
      accept_rank;    // accept is that smallest score of the rows; 0: not known, as of states without a section DRIFT
  float median;       // of the scores; at most accept
  uint32_t reserved;  // 0
};
EDGECL_SAME_BYTES(Threshold);

struct Thresholds {
  Threshold of[kNoveltyScores + 1];  // by number of the score; [0] is not used

  bool any() const;
  bool any_ranked() const;  // one that can judge a window (window.h)
  void clear();
};

// The score that n held-out rows of what was learned stay below with these shares: 0.5 <= accepted <= kept < 1. An order
// statistic: the ceil(share * n)-th smallest score. O(32 n), no memory. E_ARGUMENT: shares, no rows, or a score that is
// not finite.
Status make_threshold(const float* scores, uint64_t n, double accepted, double kept, Threshold* threshold);

// The median of so many scores is that smallest one.
inline uint64_t median_rank(uint64_t rows) {
  return rows / 2 + rows % 2;
}

inline Decision decide(const Threshold& threshold, float score) {
  if (score <= threshold.accept) return Decision::kAccept;
  return score <= threshold.novel ? Decision::kUncertain : Decision::kNovel;
}

// Section NOVELTY: u32 count, u32 zero; of each score with a threshold, ascending: u32 number, u32 zero, f32 accept, f32
// novel, u64 rows.
constexpr uint64_t kThresholdBytesMax = 8 + kNoveltyScores * 24ull;
void write_thresholds(SectionWriter* out, const Thresholds& thresholds);
Status read_thresholds(SectionReader* in, Thresholds* thresholds);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_NOVELTY_THRESHOLD_H_
