// Counts of a window of samples, the tails that judge them, and the section of a state.
// Never here: scores.
#include "runtime/novelty/window.h"

#include <float.h>
#include <string.h>

#include "runtime/state/section_reader.h"
#include "runtime/state/section_writer.h"

namespace edgecl {
namespace {

uint32_t words_of(uint32_t length) {
  return (length + 63) / 64;
}

uint32_t length_of(const format::RecipeRecord& recipe) {
  return recipe.novelty_window == 0 ? kDefaultWindow : recipe.novelty_window;
}

uint64_t rank_of_level(const Threshold& threshold, uint32_t level) {
  return level == kLevelMedian ? median_rank(threshold.rows) : threshold.accept_rank;
}

// Chances of counts j = 0..length, without a common factor: w(0) = 1,
// w(j + 1) / w(j) = (length - j) / (j + 1) * (a + j) / (b + length - j - 1), a = n + 1 - k, b = k.
// With a <= b + 1 none exceeds 2^length * (length + 1), which a double holds.
template <class Each>
void each_weight(uint64_t n, uint64_t k, uint32_t length, const Each& each) {
  const double a = static_cast<double>(n - k + 1), b = static_cast<double>(k), m = static_cast<double>(length);
  double weight = 1;
  for (uint32_t j = 0; j <= length; j++) {
    each(j, weight);
    const double x = static_cast<double>(j);
    weight *= (m - x) / (x + 1) * ((a + x) / (b + m - x - 1));
  }
}

// The least count whose tail is at most `tail`; length + 1 where none is.
uint32_t least_count(uint64_t n, uint64_t k, uint32_t length, double tail) {
  double all = 0, below = 0;
  each_weight(n, k, length, [&](uint32_t, double weight) { all += weight; });
  uint32_t least = length + 1;
  each_weight(n, k, length, [&](uint32_t j, double weight) {
    if (least > length && all - below <= tail * all) least = j;
    below += weight;
  });
  return least;
}

// Counts and the limits that they are judged by. The bits are there.
void judge_by(const Threshold& threshold, NoveltyWindow* window) {
  if (!kHasNovelty) return;
  for (uint32_t i = 0; i < kWindowLevels; i++) {
    WindowLevel* const level = &window->levels[i];
    level->count = 0;
    for (uint32_t w = 0; w < words_of(window->length); w++) {
      for (uint64_t bits = level->above[w]; bits != 0; bits &= bits - 1) level->count++;
    }
    const uint64_t rank = rank_of_level(threshold, i);
    const bool judges = threshold.rows > 0 && rank > 0;
    level->alarm_from = judges ? least_count(threshold.rows, rank, window->length, kAlarmTail) : window->length + 1;
    const uint32_t unusual = judges ? least_count(threshold.rows, rank, window->length, kCalmTail) : 0;
    level->calm_to = unusual > 0 ? unusual - 1 : 0;
  }
}

}  // namespace

void lay_out_window(Arena* arena, const format::RecipeRecord& recipe, NoveltyWindow* window) {
  window->length = length_of(recipe);
  for (WindowLevel& level : window->levels) level.above = arena->take<uint64_t>(words_of(window->length));
}

void restart_window(const Threshold& threshold, NoveltyWindow* window) {
  for (WindowLevel& level : window->levels) memset(level.above, 0, words_of(window->length) * sizeof *level.above);
  window->observed = window->alarms = 0;
  window->alarm = false;
  judge_by(threshold, window);
}

uint32_t levels_above(const Threshold& threshold, float score) {
  return (score > threshold.median ? 1u << kLevelMedian : 0) | (score > threshold.accept ? 1u << kLevelAccept : 0);
}

void observe(uint32_t above, NoveltyWindow* window) {
  const uint32_t place = static_cast<uint32_t>(window->observed % window->length);
  const uint64_t bit = uint64_t{1} << (place % 64);
  window->observed++;
  bool high = false, calm = true;
  for (uint32_t i = 0; i < kWindowLevels; i++) {
    WindowLevel* const level = &window->levels[i];
    uint64_t* const word = level->above + place / 64;
    if ((*word & bit) != 0) level->count--;
    *word &= ~bit;
    if ((above & (1u << i)) != 0) {
      *word |= bit;
      level->count++;
    }
    high = high || level->count >= level->alarm_from;
    calm = calm && level->count <= level->calm_to;
  }
  if (window->observed < window->length) return;
  if (!window->alarm && high) window->alarms++;
  window->alarm = high || (window->alarm && !calm);
}

double chance_above(uint64_t n, uint64_t k, uint32_t length, uint32_t at_least) {
  double all = 0, tail = 0;
  each_weight(n, k, length, [&](uint32_t j, double weight) {
    all += weight;
    if (j >= at_least) tail += weight;
  });
  return tail / all;
}

double window_chance(const Threshold& threshold, const NoveltyWindow& window) {
  double least = 0.5;
  if (window.observed < window.length) return 1;
  for (uint32_t i = 0; i < kWindowLevels; i++) {
    const uint64_t rank = rank_of_level(threshold, i);
    if (threshold.rows == 0 || rank == 0) return 1;
    const double chance = chance_above(threshold.rows, rank, window.length, window.levels[i].count);
    if (chance < least) least = chance;
  }
  return 2 * least;
}

uint64_t window_bytes_max(const format::RecipeRecord& recipe) {
  return 8 + kNoveltyScores * 24ull + 32 + kWindowLevels * words_of(length_of(recipe)) * 8ull;
}

void write_window(SectionWriter* out, const Thresholds& thresholds, uint32_t score, const NoveltyWindow& window) {
  uint32_t n = 0;
  for (const Threshold& threshold : thresholds.of) n += threshold.accept_rank > 0;
  out->list(n);
  for (uint32_t kind = 1; kind <= kNoveltyScores; kind++) {
    const Threshold& threshold = thresholds.of[kind];
    if (threshold.accept_rank == 0) continue;
    out->u64(kind);
    out->floats(&threshold.median, 1);
    out->u32(0);
    out->u64(threshold.accept_rank);
  }
  out->u32(score);
  out->u32(window.length);
  out->u64(window.observed);
  out->u64(window.alarms);
  out->u32(window.alarm ? 1 : 0);
  out->u32(0);
  for (uint32_t w = 0; w < words_of(window.length); w++) {
    for (const WindowLevel& level : window.levels) out->u64(level.above[w]);
  }
}

namespace {

Status read_levels(SectionReader* in, Thresholds* thresholds) {
  const uint32_t n = in->list();
  uint64_t last = 0;
  for (uint32_t i = 0; i < n; i++) {
    const uint64_t kind = in->u64();
    float median = 0;
    const bool finite = in->floats(1, FLT_MAX, &median);
    const uint32_t zero = in->u32();
    const uint64_t rank = in->u64();
    if (in->failed() || kind <= last || kind > kNoveltyScores) return in->corrupt("scores out of order or range");
    Threshold* const threshold = &thresholds->of[kind];
    if (!finite || zero != 0 || rank < median_rank(threshold->rows) || rank == 0 || rank > threshold->rows ||
        median > threshold->accept)
      return in->corrupt("a bad level");
    threshold->median = median;
    threshold->accept_rank = rank;
    last = kind;
  }
  return Status();
}

}  // namespace

Status read_window(SectionReader* in, uint32_t score, bool apply, Thresholds* thresholds, NoveltyWindow* window) {
  EDGECL_RETURN_IF_FAILED(read_levels(in, thresholds));
  const uint32_t of_score = in->u32(), length = in->u32();
  const uint64_t observed = in->u64(), alarms = in->u64();
  const uint32_t alarm = in->u32(), zero = in->u32();
  if (in->failed() || length == 0 || length > format::kMaxNoveltyWindow) return in->corrupt("a bad window");
  if (observed > kMostObserved || alarms > observed || alarm > 1 || zero != 0 || (alarm == 1 && alarms == 0))
    return in->corrupt("bad counts of a window");
  const bool ours = of_score == score && length == window->length;
  const uint64_t filled = observed < length ? observed : length;
  for (uint32_t w = 0; w < words_of(length); w++) {
    const uint64_t place = w * uint64_t{64};
    uint64_t allowed = filled <= place        ? 0
                       : filled - place >= 64 ? ~uint64_t{0}
                                              : (uint64_t{1} << (filled - place)) - 1;
    for (WindowLevel& level : window->levels) {  // what is above a level is above those before it
      const uint64_t above = in->u64();
      if ((above & ~allowed) != 0) return in->corrupt("samples that were not observed");
      if (apply && ours) level.above[w] = above;
      allowed = above;
    }
  }
  if (in->failed()) return in->corrupt("another size");
  if (!apply || !ours) return Status();
  window->observed = observed;
  window->alarms = alarms;
  window->alarm = alarm == 1;
  judge_by(thresholds->of[score], window);
  return Status();
}

}  // namespace edgecl
