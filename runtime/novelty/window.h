// The alarm of a stream: how many of the latest samples look less familiar than rows that were held out.
// Never here: scores, thresholds of single samples (threshold.h), what is done about an alarm.
//
// Two levels of the score are counted in a window of the latest samples: the median of the held-out rows, which most
// samples of another domain exceed, and the threshold of acceptance, which a few strange ones among many do. Where the
// stream is like the n held-out rows, any order among these and the window's samples is equally likely, so that the
// number of samples above the k-th smallest held-out score is beta-binomial with parameters n + 1 - k and k (Wilks 1941,
// "Determination of sample sizes for setting tolerance limits"): exact, whatever the distribution of the scores, and the
// chance of an unlucky threshold is in it. The alarm rises when a count is so high that its tail is at most kAlarmTail,
// and falls when the tails of both are above kCalmTail.
#ifndef EDGECL_RUNTIME_NOVELTY_WINDOW_H_
#define EDGECL_RUNTIME_NOVELTY_WINDOW_H_

#include "runtime/novelty/threshold.h"

namespace edgecl {

constexpr uint32_t kDefaultWindow = 64;  // of a recipe that says 0
// Of each level. A window is judged at every sample, so that a stream alarms for nothing once in some 1,000 windows' worth
// of samples, and a single window about once in 6,000 (tools/bench/README.md has what was measured).
constexpr double kAlarmTail = 1.0 / 32768;
constexpr double kCalmTail = 1.0 / 16;
constexpr uint64_t kMostObserved = 1ull << 56;  // samples of a state

enum WindowLevelNumber : uint32_t { kLevelMedian = 0, kLevelAccept = 1, kWindowLevels = 2 };

// Samples above one level.
struct WindowLevel {
  uint64_t* above;      // [ceil(length / 64)] a bit a place of the ring
  uint32_t count;       // of them
  uint32_t alarm_from;  // counts from here on alarm; length + 1: none does
  uint32_t calm_to;     // counts up to here are ordinary
};

struct NoveltyWindow {
  WindowLevel levels[kWindowLevels] = {};
  uint64_t observed = 0;  // samples since it was empty; the next one has place observed % length
  uint64_t alarms = 0;    // times that the alarm rose
  uint32_t length = 0;
  bool alarm = false;

  uint32_t filled() const { return observed < length ? static_cast<uint32_t>(observed) : length; }
};

// In the arena's present region.
void lay_out_window(Arena* arena, const format::RecipeRecord& recipe, NoveltyWindow* window);
// Empties it; counts are judged by this threshold of the session's score from now on (rows 0: by none). O(length).
void restart_window(const Threshold& threshold, NoveltyWindow* window);

// Bit i: the score lies above level i. Then the sample enters the window, which may raise the alarm or lay it. O(1).
uint32_t levels_above(const Threshold& threshold, float score);
void observe(uint32_t above, NoveltyWindow* window);

// The chance that at least so many of `length` samples exceed the k-th smallest of n scores of rows like them, n / 2 <= k
// <= n. One chain of products and sums, O(length).
double chance_above(uint64_t n, uint64_t k, uint32_t length, uint32_t at_least);
// Twice the smaller chance of the two counts, at most 1; 1 while the window is not full.
double window_chance(const Threshold& threshold, const NoveltyWindow& window);

// Section DRIFT: list of the scores whose thresholds can judge a window, ascending: u64 number, f32 median, u32 zero, u64
// rank of `accept`; u32 number of the session's score, u32 length, u64 observed, u64 alarms, u32 alarm, u32 zero, and for
// each 64 places the bits above the median and those above the threshold of acceptance, u64 each.
uint64_t window_bytes_max(const format::RecipeRecord& recipe);
void write_window(SectionWriter* out, const Thresholds& thresholds, uint32_t score, const NoveltyWindow& window);
// Fills what it knows of `thresholds`, which NOVELTY has filled already. A window of another score or length is left
// out. `apply` false: `window` stays.
Status read_window(SectionReader* in, uint32_t score, bool apply, Thresholds* thresholds, NoveltyWindow* window);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_NOVELTY_WINDOW_H_
