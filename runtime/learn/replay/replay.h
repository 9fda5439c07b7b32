// The replay buffer: a reservoir of raw samples with labels and, for DER++, logits.
// Never here: losses, augmentation, what a class is called.
#ifndef EDGECL_RUNTIME_LEARN_REPLAY_REPLAY_H_
#define EDGECL_RUNTIME_LEARN_REPLAY_REPLAY_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/rng.h"

namespace edgecl {

constexpr uint32_t kNoSlot = 0xffffffffu;

// Slots 0..fill-1 hold exemplars: the raw, un-augmented sample in the bundle's dtype, its label and (logits_width > 0)
// the train-mode logits of all class columns in the step in which it came, before that step's update.
struct Replay {
  uint32_t capacity = 0;
  uint32_t fill = 0;
  uint32_t logits_width = 0;
  uint64_t sample_bytes = 0;
  uint8_t* samples = nullptr;  // [capacity][sample_bytes]
  int32_t* labels = nullptr;   // [capacity]
  float* logits = nullptr;     // [capacity][logits_width]
  uint32_t* drawn = nullptr;   // bitmap of `capacity` bits, all zero between calls
  uint32_t* fill_of =
      nullptr;  // [columns] exemplars of each label, in admissions of a class-balanced buffer; else null

  // Of the stream that the buffer samples: rows presented, less those of removed classes.
  uint64_t seen = 0;
  // Rows of removed classes that no later row has stood in for yet: those that were in the buffer, and those that were
  // not.
  uint64_t missing_inside = 0;
  uint64_t missing_outside = 0;

  uint8_t* sample(uint32_t slot) const { return samples + slot * sample_bytes; }
  float* slot_logits(uint32_t slot) const { return logits + static_cast<uint64_t>(slot) * logits_width; }
};

// Takes the buffer's memory in region "replay". Measuring: sizes only. balanced_columns: labels of a class-balanced
// buffer, 0 for a reservoir.
void lay_out_replay(Arena* arena, uint32_t capacity, uint64_t sample_bytes, uint32_t logits_width,
                    uint32_t balanced_columns, Replay* replay);
// Empties the buffer and wipes what it held.
void replay_clear(Replay* replay);

// min(m, fill) different slots, every subset equally likely (Floyd's algorithm; Bentley & Floyd 1987, "A sample of
// brilliance"). Returns how many. Cost O(m), whatever the fill.
uint32_t replay_draw(Replay* replay, RandomStream* random, uint32_t m, uint32_t* slots);

// Decides where the next row of the stream goes, and counts it: a slot (fill grows when it is the first free one) or
// kNoSlot. Reservoir sampling (Vitter 1985, algorithm R): the n-th row (from 0) takes slot n while the buffer has room,
// then a slot r uniform in 0..n if r < capacity. After a class was removed, random pairing (Gemulla, Lehner, Haas 2006,
// "A dip in the reservoir") lets new rows stand in for the removed ones, so the buffer stays a uniform sample of the
// rows of all classes that remain.
uint32_t replay_admit(Replay* replay, RandomStream* random);
// Writes an exemplar into a slot that an admission gave. `logits` may be null when logits_width is 0.
void replay_store(Replay* replay, uint32_t slot, const void* sample, int32_t label, const float* logits);

// Drops all exemplars of a label: later slots move down, their order stays. `rows_seen`: rows of that label presented
// so far. Returns how many exemplars were dropped; their memory is wiped.
uint32_t replay_forget(Replay* replay, int32_t label, uint64_t rows_seen);

// Sets the stored logits of one column to 0, as those of a class that nobody knows.
void replay_clear_logit(Replay* replay, uint32_t column);

uint32_t replay_count(const Replay& replay, int32_t label);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REPLAY_REPLAY_H_
