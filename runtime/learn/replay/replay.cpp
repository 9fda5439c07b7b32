// Reservoir, draws without replacement, removal of a class.
// Never here: a generator of its own (streams are handed in).
#include "runtime/learn/replay/replay.h"

#include <string.h>

namespace edgecl {
namespace {

uint64_t bitmap_words(uint32_t capacity) {
  return (static_cast<uint64_t>(capacity) + 31) / 32;
}

void wipe(Replay* replay, uint32_t from, uint32_t to) {
  if (from == to) return;
  memset(replay->sample(from), 0, (to - from) * replay->sample_bytes);
  memset(replay->labels + from, 0, (to - from) * sizeof(int32_t));
  if (replay->logits_width) memset(replay->slot_logits(from), 0, (to - from) * replay->logits_width * sizeof(float));
}

}  // namespace

void lay_out_replay(Arena* arena, uint32_t capacity, uint64_t sample_bytes, uint32_t logits_width,
                    uint32_t balanced_columns, Replay* replay) {
  arena->begin_region("replay");
  uint8_t* samples = arena->take<uint8_t>(capacity * sample_bytes);
  int32_t* labels = arena->take<int32_t>(capacity);
  float* logits = arena->take<float>(static_cast<uint64_t>(capacity) * logits_width);
  uint32_t* drawn = arena->take<uint32_t>(bitmap_words(capacity));
  uint32_t* fill_of = balanced_columns > 0 ? arena->take<uint32_t>(balanced_columns) : nullptr;
  if (arena->measuring() || arena->exhausted()) return;
  replay->capacity = capacity;
  replay->sample_bytes = sample_bytes;
  replay->logits_width = logits_width;
  replay->samples = samples;
  replay->labels = labels;
  replay->logits = logits;
  replay->drawn = drawn;
  replay->fill_of = fill_of;
  memset(drawn, 0, bitmap_words(capacity) * sizeof(uint32_t));
  replay->fill = 0;
}

void replay_clear(Replay* replay) {
  wipe(replay, 0, replay->fill);
  replay->fill = 0;
  replay->seen = replay->missing_inside = replay->missing_outside = 0;
}

uint32_t replay_draw(Replay* replay, RandomStream* random, uint32_t m, uint32_t* slots) {
  const uint32_t n = m < replay->fill ? m : replay->fill;
  const auto taken = [&](uint32_t slot) { return replay->drawn[slot / 32] >> (slot % 32) & 1; };
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t newest = replay->fill - n + i;
    const uint32_t candidate = random->bounded(newest + 1);
    slots[i] = taken(candidate) ? newest : candidate;
    replay->drawn[slots[i] / 32] |= 1u << (slots[i] % 32);
  }
  for (uint32_t i = 0; i < n; i++) replay->drawn[slots[i] / 32] = 0;
  return n;
}

uint32_t replay_admit(Replay* replay, RandomStream* random) {
  const uint64_t n = replay->seen++;
  const uint64_t missing = replay->missing_inside + replay->missing_outside;
  if (missing > 0) {
    if (random->bounded64(missing) >= replay->missing_inside) {
      replay->missing_outside--;
      return kNoSlot;
    }
    replay->missing_inside--;
    return replay->fill++;
  }
  if (n < replay->capacity) return replay->fill++;
  if (replay->capacity == 0) return kNoSlot;
  const uint64_t r = random->bounded64(n + 1);
  return r < replay->capacity ? static_cast<uint32_t>(r) : kNoSlot;
}

void replay_store(Replay* replay, uint32_t slot, const void* sample, int32_t label, const float* logits) {
  memcpy(replay->sample(slot), sample, replay->sample_bytes);
  replay->labels[slot] = label;
  if (replay->logits_width) memcpy(replay->slot_logits(slot), logits, replay->logits_width * sizeof(float));
}

uint32_t replay_forget(Replay* replay, int32_t label, uint64_t rows_seen) {
  uint32_t kept = 0;
  for (uint32_t slot = 0; slot < replay->fill; slot++) {
    if (replay->labels[slot] == label) continue;
    if (kept != slot) {
      replay_store(replay, kept, replay->sample(slot), replay->labels[slot],
                   replay->logits_width ? replay->slot_logits(slot) : nullptr);
    }
    kept++;
  }
  const uint32_t dropped = replay->fill - kept;
  wipe(replay, kept, replay->fill);
  replay->fill = kept;
  replay->seen -= rows_seen;
  replay->missing_inside += dropped;
  replay->missing_outside += rows_seen - dropped;
  return dropped;
}

void replay_clear_logit(Replay* replay, uint32_t column) {
  for (uint32_t slot = 0; replay->logits_width > 0 && slot < replay->fill; slot++)
    replay->slot_logits(slot)[column] = 0;
}

uint32_t replay_count(const Replay& replay, int32_t label) {
  uint32_t n = 0;
  for (uint32_t slot = 0; slot < replay.fill; slot++) n += replay.labels[slot] == label;
  return n;
}

}  // namespace edgecl
