// The replay buffer: uniformity of reservoir and draws, removal of classes.
// Never here: learn steps.
#include <math.h>
#include <stdlib.h>

#include <set>
#include <vector>

#include "runtime/learn/replay/augment.h"
#include "runtime/learn/replay/replay.h"
#include "tests/runtime/check.h"

namespace {

using edgecl::RandomStream;
using edgecl::Replay;

// A buffer of 4-byte samples that carry the number of the row they came from.
class Buffer {
 public:
  explicit Buffer(uint32_t capacity) {
    edgecl::Arena measure;
    edgecl::lay_out_replay(&measure, capacity, 4, 1, 0, &replay);
    memory_ = aligned_alloc(64, measure.used());
    edgecl::Arena arena(memory_, measure.used());
    edgecl::lay_out_replay(&arena, capacity, 4, 1, 0, &replay);
    CHECK(!arena.exhausted() && arena.used() == measure.used());
  }
  ~Buffer() { free(memory_); }
  void add(uint32_t row, int32_t label, RandomStream* random) {
    const uint32_t slot = edgecl::replay_admit(&replay, random);
    const float logit = static_cast<float>(row);
    if (slot != edgecl::kNoSlot) edgecl::replay_store(&replay, slot, &row, label, &logit);
  }
  uint32_t row(uint32_t slot) const {
    uint32_t r;
    memcpy(&r, replay.sample(slot), 4);
    return r;
  }
  Replay replay;

 private:
  void* memory_;
};

// Largest deviation of counts from their common expectation, in standard deviations of a binomial count.
double worst_deviation(const std::vector<int>& counts, double trials, double p) {
  double worst = 0;
  for (int count : counts) worst = fmax(worst, fabs(count - trials * p) / sqrt(trials * p * (1 - p)));
  return worst;
}

}  // namespace

TEST(reservoir_keeps_the_first_rows_in_order) {
  Buffer buffer(5);
  RandomStream random = {1, 2, 0};
  for (uint32_t row = 0; row < 5; row++) buffer.add(row, 0, &random);
  CHECK(buffer.replay.fill == 5 && random.position == 0);  // no randomness is spent while there is room
  for (uint32_t slot = 0; slot < 5; slot++) CHECK(buffer.row(slot) == slot);
}

TEST(reservoir_is_uniform_over_the_stream) {
  constexpr uint32_t kCapacity = 8, kRows = 50, kTrials = 8000;
  std::vector<int> kept(kRows);
  for (uint32_t trial = 0; trial < kTrials; trial++) {
    Buffer buffer(kCapacity);
    RandomStream random = {trial, 3, 0};
    for (uint32_t row = 0; row < kRows; row++) buffer.add(row, 0, &random);
    CHECK(buffer.replay.fill == kCapacity && buffer.replay.seen == kRows);
    for (uint32_t slot = 0; slot < kCapacity; slot++) kept[buffer.row(slot)]++;
  }
  const double worst = worst_deviation(kept, kTrials, static_cast<double>(kCapacity) / kRows);
  CHECK_MESSAGE(worst < 4.5, "%f standard deviations", worst);  // 50 counts; chance of 4.5 by luck is below 1e-3
}

TEST(draws_are_distinct_and_uniform) {
  constexpr uint32_t kFill = 10, kDraw = 4, kTrials = 20000;
  Buffer buffer(kFill);
  RandomStream fill = {1, 1, 0};
  for (uint32_t row = 0; row < kFill; row++) buffer.add(row, 0, &fill);
  std::vector<int> single(kFill), pair(kFill * kFill);
  for (uint32_t trial = 0; trial < kTrials; trial++) {
    RandomStream random = {trial, 5, 0};
    uint32_t slots[kDraw];
    CHECK(edgecl::replay_draw(&buffer.replay, &random, kDraw, slots) == kDraw);
    CHECK(std::set<uint32_t>(slots, slots + kDraw).size() == kDraw);
    for (uint32_t a : slots) {
      single[a]++;
      for (uint32_t b : slots) {
        if (a < b) pair[a * kFill + b]++;
      }
    }
  }
  CHECK(worst_deviation(single, kTrials, 0.4) < 4);
  std::vector<int> pairs;
  for (uint32_t a = 0; a < kFill; a++) {
    for (uint32_t b = a + 1; b < kFill; b++) pairs.push_back(pair[a * kFill + b]);
  }
  CHECK(worst_deviation(pairs, kTrials, 4.0 * 3 / (10 * 9)) < 4.5);
  for (uint32_t word = 0; word < (kFill + 31) / 32; word++) CHECK(buffer.replay.drawn[word] == 0);
}

TEST(draws_of_everything_and_of_nothing) {
  Buffer buffer(70);
  RandomStream random = {9, 9, 0};
  uint32_t slots[100];
  CHECK(edgecl::replay_draw(&buffer.replay, &random, 10, slots) == 0);
  for (uint32_t row = 0; row < 70; row++) buffer.add(row, 0, &random);
  CHECK(edgecl::replay_draw(&buffer.replay, &random, 100, slots) == 70);
  CHECK(std::set<uint32_t>(slots, slots + 70).size() == 70);
  CHECK(edgecl::replay_draw(&buffer.replay, &random, 0, slots) == 0);
}

TEST(draws_repeat_exactly) {
  Buffer buffer(40);
  RandomStream fill = {1, 1, 0};
  for (uint32_t row = 0; row < 500; row++) buffer.add(row, 0, &fill);
  RandomStream a = {77, 4, 0}, b = {77, 4, 0};
  uint32_t first[16], second[16];
  edgecl::replay_draw(&buffer.replay, &a, 16, first);
  edgecl::replay_draw(&buffer.replay, &b, 16, second);
  CHECK(memcmp(first, second, sizeof first) == 0);
}

TEST(forgetting_a_class_keeps_order_and_wipes) {
  Buffer buffer(6);
  RandomStream random = {1, 1, 0};
  for (uint32_t row = 0; row < 6; row++) buffer.add(row, static_cast<int32_t>(row % 2), &random);
  CHECK(edgecl::replay_count(buffer.replay, 1) == 3);
  CHECK(edgecl::replay_forget(&buffer.replay, 1, 3) == 3);
  CHECK(buffer.replay.fill == 3 && buffer.replay.seen == 3);
  for (uint32_t slot = 0; slot < 3; slot++) {
    CHECK(buffer.row(slot) == 2 * slot && buffer.replay.labels[slot] == 0);
    CHECK(*buffer.replay.slot_logits(slot) == static_cast<float>(2 * slot));
  }
  for (uint32_t slot = 3; slot < 6; slot++) CHECK(buffer.row(slot) == 0 && *buffer.replay.slot_logits(slot) == 0);
}

// After a removal the rows of the remaining classes, old and new, are in the buffer with one and the same probability.
TEST(buffer_stays_uniform_after_forgetting) {
  constexpr uint32_t kCapacity = 10, kBefore = 60, kAfter = 60, kTrials = 8000;
  std::vector<int> kept(kBefore + kAfter);
  uint64_t filled = 0;
  for (uint32_t trial = 0; trial < kTrials; trial++) {
    Buffer buffer(kCapacity);
    RandomStream random = {trial, 8, 0};
    for (uint32_t row = 0; row < kBefore; row++) buffer.add(row, row % 3 == 0, &random);
    edgecl::replay_forget(&buffer.replay, 1, kBefore / 3);
    for (uint32_t row = kBefore; row < kBefore + kAfter; row++) buffer.add(row, 0, &random);
    filled += buffer.replay.fill;
    CHECK(buffer.replay.seen == kBefore * 2 / 3 + kAfter);
    for (uint32_t slot = 0; slot < buffer.replay.fill; slot++) kept[buffer.row(slot)]++;
  }
  std::vector<int> remaining;
  for (uint32_t row = 0; row < kBefore + kAfter; row++) {
    if (row < kBefore && row % 3 == 0) {
      CHECK(kept[row] == 0);
    } else {
      remaining.push_back(kept[row]);
    }
  }
  CHECK(filled == static_cast<uint64_t>(kTrials) * kCapacity);
  const double worst = worst_deviation(remaining, kTrials, static_cast<double>(kCapacity) / (kBefore * 2 / 3 + kAfter));
  CHECK_MESSAGE(worst < 4.5, "%f standard deviations", worst);
}

TEST(buffer_without_capacity) {
  Buffer buffer(0);
  RandomStream random = {1, 1, 0};
  for (uint32_t row = 0; row < 4; row++) CHECK(edgecl::replay_admit(&buffer.replay, &random) == edgecl::kNoSlot);
  CHECK(edgecl::replay_forget(&buffer.replay, 0, 4) == 0);
  CHECK(edgecl::replay_admit(&buffer.replay, &random) == edgecl::kNoSlot);
}

TEST(augmentation_is_in_range_and_uniform) {
  constexpr uint32_t kRows = 20000;
  std::vector<int8_t> y(kRows), x(kRows);
  std::vector<uint8_t> flip(kRows);
  RandomStream random = {5, 5, 0};
  edgecl::draw_augmentation({4, true}, 32, kRows, &random, y.data(), x.data(), flip.data());
  std::vector<int> of_y(9), of_x(9), of_flip(2);
  for (uint32_t r = 0; r < kRows; r++) {
    CHECK(y[r] >= -4 && y[r] <= 4 && x[r] >= -4 && x[r] <= 4 && flip[r] <= 1);
    of_y[static_cast<size_t>(y[r] + 4)]++;
    of_x[static_cast<size_t>(x[r] + 4)]++;
    of_flip[flip[r]]++;
  }
  CHECK(worst_deviation(of_y, kRows, 1.0 / 9) < 4 && worst_deviation(of_x, kRows, 1.0 / 9) < 4 &&
        worst_deviation(of_flip, kRows, 0.5) < 4);
  edgecl::draw_augmentation({4, false}, 1, kRows, &random, y.data(), x.data(), flip.data());
  for (uint32_t r = 0; r < kRows; r++) CHECK(y[r] == 0 && flip[r] == 0);
}

RUN_TESTS()
