// Section REPLAY: the counters of the reservoir and its exemplars.
// Never here: draws.
#include <string.h>

#include "runtime/learn/batch.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/session_state.h"

namespace edgecl {
namespace {

constexpr uint64_t kFixedBytes = 3 * sizeof(uint64_t) + 8;

uint64_t slot_bytes(uint64_t sample_bytes, uint32_t logits_width) {
  return 4 + sample_bytes + logits_width * 4ull;
}

bool within(float x, float limit) {
  return x >= -limit && x <= limit;  // false for NaN
}

// Whether a learn step takes the sample: batch.cpp's rule for what was normalised, and that for activations.
bool sample_is_sound(const StateImport& import, const uint8_t* sample) {
  const Plan& plan = *import.session->plan;
  if (!import.says(kStateLatent)) return sample_within_limit(plan, sample);
  const uint64_t n = import.exemplar_bytes / sizeof(float);
  for (uint64_t i = 0; i < n; i++) {
    float value;
    memcpy(&value, sample + i * sizeof value, sizeof value);
    if (!within(value, kLargestInput)) return false;
  }
  return true;
}

Status read_slot(SectionReader* in, StateImport* import, uint32_t slot) {
  Session* session = import->session;
  Replay* replay = &session->replay;
  const bool store = import->stores_learning();
  const uint32_t label = in->u32();
  if (label >= session->classes.capacity) return in->corrupt("a label out of range");
  if (import->exemplars_left && import->exemplars_left[label]-- == 0)
    return in->corrupt("more exemplars of a class than rows of it that were learned");
  const uint8_t* sample = in->bytes(import->exemplar_bytes);
  if (sample == nullptr) return in->corrupt("a truncated exemplar");
  if (!sample_is_sound(*import, sample)) return in->corrupt("a sample that is not finite or beyond 1e12");
  if (!in->floats(import->logits_width, kLargestInput, store ? replay->slot_logits(slot) : nullptr))
    return in->corrupt("a logit that is not finite or beyond 1e12");
  if (!store) return Status();
  replay->labels[slot] = static_cast<int32_t>(label);
  memcpy(replay->sample(slot), sample, static_cast<size_t>(import->exemplar_bytes));
  return Status();
}

}  // namespace

void write_replay(SectionWriter* out, const Session& session) {
  const Replay& replay = session.replay;
  out->u64(replay.seen);
  out->u64(replay.missing_inside);
  out->u64(replay.missing_outside);
  out->list(replay.fill);
  if (out->counting()) return out->skip(replay.fill * slot_bytes(replay.sample_bytes, replay.logits_width));
  for (uint32_t slot = 0; slot < replay.fill; slot++) {
    out->u32(static_cast<uint32_t>(replay.labels[slot]));
    out->bytes(replay.sample(slot), replay.sample_bytes);
    out->floats(replay.slot_logits(slot), replay.logits_width);
  }
}

uint64_t replay_bytes_max(const Plan& plan, const SessionConfig& config) {
  const uint64_t capacity = config_replay_capacity(config);
  const uint32_t logits_width = config_stores_logits(config) ? plan.model->class_capacity : 0;
  return kFixedBytes + capacity * slot_bytes(exemplar_bytes(plan, config), logits_width);
}

Status read_replay(SectionReader* in, StateImport* import) {
  const uint64_t seen = in->u64(), inside = in->u64(), outside = in->u64();
  const uint32_t fill = in->list(), capacity = import->replay_capacity;
  if (in->failed() || fill > capacity) return in->corrupt("more exemplars than replay_capacity");
  if (seen >= kMaxStateCount || inside >= kMaxStateCount || outside >= kMaxStateCount ||
      (import->says(kStateLearning) && seen != import->class_rows)) {
    return in->corrupt("counts that do not add up to the rows seen");
  }
  // What the buffer held or should hold again never exceeds what it was shown (replay.h, random pairing).
  const uint64_t shown = seen + inside + outside;
  if (fill + inside != (shown < capacity ? shown : capacity))
    return in->corrupt("a fill that does not follow from the counters");
  if (in->left() != fill * slot_bytes(import->exemplar_bytes, import->logits_width)) return in->corrupt("another size");
  for (uint32_t slot = 0; slot < fill; slot++) EDGECL_RETURN_IF_FAILED(read_slot(in, import, slot));
  if (!import->stores_learning()) return Status();
  Replay* replay = &import->session->replay;
  replay->fill = fill;
  replay->seen = seen;
  replay->missing_inside = inside;
  replay->missing_outside = outside;
  return Status();
}

}  // namespace edgecl
