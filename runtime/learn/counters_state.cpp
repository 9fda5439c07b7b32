// Section COUNTERS: the random state, what was done so far, and the learning rate of the steps to come.
// Never here: counters of the buffer (replay_state.cpp) and of structures (sparsity_state.cpp).
#include <float.h>

#include "runtime/learn/session_state.h"

namespace edgecl {

void write_counters(SectionWriter* out, const Session& session) {
  const Counters& c = session.counters;
  const uint64_t counts[] = {
      c.seed, c.step, c.samples_learned, c.tasks, c.macs_learn, c.macs_learn_dense, c.macs_paper, c.macs_paper_dense};
  out->bytes(counts, sizeof counts);
  out->floats(&c.learning_rate, 1);
  out->u32(0);
}

uint64_t counters_bytes_max(const Plan&, const SessionConfig&) {
  return 8 * sizeof(uint64_t) + 8;
}

Status read_counter_values(SectionReader* in, bool learns, Counters* values) {
  Counters c = {};
  uint64_t* const counts[] = {&c.seed,
                              &c.step,
                              &c.samples_learned,
                              &c.tasks,
                              &c.macs_learn,
                              &c.macs_learn_dense,
                              &c.macs_paper,
                              &c.macs_paper_dense};
  for (uint64_t* count : counts) *count = in->u64();
  const bool finite = in->floats(1, FLT_MAX, &c.learning_rate);
  if (in->u32() != 0 || c.step >= kMaxStateCount) return in->corrupt("a counter out of range");
  if (!finite || (learns && !(c.learning_rate >= FLT_MIN))) return in->corrupt("a learning rate that is not above 0");
  *values = c;
  return Status();
}

Status read_counters(SectionReader* in, StateImport* import) {
  Counters c;
  EDGECL_RETURN_IF_FAILED(read_counter_values(in, import->says(kStateLearning), &c));
  if (import->apply) import->session->counters = c;
  return Status();
}

}  // namespace edgecl
