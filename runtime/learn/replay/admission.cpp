// The two policies, and the loop over the rows.
// Never here: the reservoir's own arithmetic (replay.cpp).
#include "runtime/learn/replay/admission.h"

#include <string.h>

#include "runtime/learn/profile.h"
#include "runtime/learn/session.h"

namespace edgecl {
namespace {

void count_labels(const ClassTable& classes, Replay* replay) {
  memset(replay->fill_of, 0, classes.n_columns * sizeof(uint32_t));
  for (uint32_t slot = 0; slot < replay->fill; slot++) replay->fill_of[replay->labels[slot]]++;
}

// The k-th slot (from 0) whose label `takes` accepts; there are more than k.
template <class Takes>
uint32_t nth_slot(const Replay& replay, uint64_t k, const Takes& takes) {
  uint32_t slot = 0;
  for (;; slot++) {
    if (takes(static_cast<uint32_t>(replay.labels[slot])) && k-- == 0) return slot;
  }
}

// CBRS (Chrysakis and Moens 2020, algorithm 1). samples_seen of the row's class counts the row already.
uint32_t admit_balanced(ClassTable* classes, Replay* replay, uint32_t label, RandomStream* random) {
  replay->seen++;
  if (replay->fill < replay->capacity) {
    if (replay->missing_inside > 0) replay->missing_inside--;
    replay->fill_of[label]++;
    return replay->fill++;
  }
  if (replay->capacity == 0) return kNoSlot;
  uint32_t largest = 0, n_largest = 0;
  for (uint32_t c = 0; c < classes->capacity; c++) {
    if (replay->fill_of[c] > largest) {
      largest = replay->fill_of[c];
      n_largest = 0;
    }
    n_largest += replay->fill_of[c] == largest;
  }
  for (uint32_t c = 0; c < classes->capacity; c++) {
    if (replay->fill_of[c] == largest) classes->entries[c].full = 1;
  }
  ClassEntry* const entry = &classes->entries[label];
  if (!entry->full) {
    const uint64_t k = random->bounded64(static_cast<uint64_t>(largest) * n_largest);
    const uint32_t slot = nth_slot(*replay, k, [&](uint32_t other) { return replay->fill_of[other] == largest; });
    replay->fill_of[replay->labels[slot]]--;
    replay->fill_of[label]++;
    return slot;
  }
  const uint64_t k = random->bounded64(entry->samples_seen);
  if (k >= replay->fill_of[label]) return kNoSlot;
  return nth_slot(*replay, k, [&](uint32_t other) { return other == label; });
}

}  // namespace

void admit_rows(Session* session, uint32_t n, const float* weights, RandomStream random) {
  const ProfileScope profile(session->env, kProfileReplay, 1);
  StepMemory& step = session->step;
  ClassTable* const classes = &session->classes;
  Replay* const replay = &session->replay;
  if (replay->fill_of) count_labels(*classes, replay);
  for (uint32_t r = 0; r < n; r++) {
    const uint32_t label = static_cast<uint32_t>(step.labels[r]);
    if (!classes->present[label]) class_add(classes, label, nullptr);
    if (weights && weights[r] == 0) continue;
    classes->entries[label].samples_seen++;
    classes->entries[label].merged = kOwnClass;
    const uint32_t slot =
        replay->fill_of ? admit_balanced(classes, replay, label, &random) : replay_admit(replay, &random);
    if (slot == kNoSlot) continue;
    const float* logits = step.logits ? step.logits + static_cast<uint64_t>(r) * classes->n_columns : nullptr;
    // The raw sample; with latent replay its activations at the border.
    replay_store(replay, slot, step.samples[r], step.labels[r], logits);
  }
}

}  // namespace edgecl
