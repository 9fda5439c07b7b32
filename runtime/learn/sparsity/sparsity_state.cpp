// Section SPARSITY: where a task stands in the schedules of structures, masks, rehearsals and drift.
// Never here: patterns and selections (weights_state.cpp).
#include <string.h>

#include "runtime/learn/session_state.h"

namespace edgecl {

void write_sparsity(SectionWriter* out, const Session& session) {
  const Counters& c = session.counters;
  const uint64_t counts[] = {c.steps_in_task, c.structure_updates, c.weights_dropped,
                             c.weights_grown, c.rehearsals,        c.drift.n};
  const double drift[] = {c.drift.mean, c.drift.sum, c.drift.least};
  out->bytes(counts, sizeof counts);
  out->bytes(drift, sizeof drift);
  out->list(c.mask_stale);
}

uint64_t sparsity_bytes_max(const Plan&, const SessionConfig&) {
  return 9 * sizeof(uint64_t) + 8;
}

Status read_sparsity(SectionReader* in, StateImport* import) {
  Counters c = import->session->counters;
  uint64_t* const counts[] = {&c.steps_in_task, &c.structure_updates, &c.weights_dropped,
                              &c.weights_grown, &c.rehearsals,        &c.drift.n};
  bool sound = true;
  for (uint64_t* count : counts) {
    *count = in->u64();
    sound = sound && *count < kMaxStateCount;
  }
  double* const drift[] = {&c.drift.mean, &c.drift.sum, &c.drift.least};
  for (double* value : drift) {
    const uint64_t word = in->u64();
    memcpy(value, &word, sizeof word);
    sound = sound && *value - *value == 0;  // finite
  }
  c.mask_stale = in->list();
  if (!sound || c.mask_stale > 1) return in->corrupt("a counter out of range");
  if (import->apply) import->session->counters = c;
  return Status();
}

}  // namespace edgecl
