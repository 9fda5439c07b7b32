// Dynamic data removal: what each example of a task did when it was learned, and which examples need no more learning.
// Never here: samples, the order in which examples are learned, sessions.
#ifndef EDGECL_RUNTIME_LEARN_REMOVAL_H_
#define EDGECL_RUNTIME_LEARN_REMOVAL_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/plan_records.h"
#include "runtime/core/status.h"

namespace edgecl {

constexpr uint32_t kMaxRemovalExamples = 1u << 28;

// Of one example, since the last stage.
struct RemovalRecord {
  float loss_sum;
  uint16_t shown, wrong_or_forgotten;  // both stop at 65535
  uint8_t flags;                       // kRemoval*
  uint8_t reserved[3];
};
constexpr uint8_t kRemovalRemoved = 1;      // no longer learned
constexpr uint8_t kRemovalWasCorrect = 2;   // when last shown
constexpr uint8_t kRemovalEverCorrect = 4;  // once at least

struct Removal {
  uint32_t n, n_kept, score, reserved;
  RemovalRecord* records;  // [n]
};

uint64_t removal_bytes(uint32_t n);
// E_ARGUMENT: n or score out of range. `memory`: removal_bytes(n), aligned to 8.
Status removal_init(void* memory, uint32_t n, uint32_t score, Removal** removal);

// One presentation each. Errors, nothing recorded: E_ARGUMENT (id out of range or of a removed example, loss not
// finite).
Status removal_record(Removal* removal, const uint32_t* ids, const uint8_t* correct, const float* loss, uint32_t n);
// Removes the n examples with the lowest score; ties by lowest mean loss, then lowest id. Then all records begin anew.
// Score: presentations that were wrong, or transitions from right to wrong; an example that was never shown, and with
// kRemovalForgetting one that never was right, has the highest score. E_ARGUMENT unless n < n_kept. O(64 examples), no
// memory.
Status removal_stage(Removal* removal, uint32_t n);
// Ids that are kept, ascending. `ids` has n_kept elements.
void removal_kept(const Removal& removal, uint32_t* ids);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_REMOVAL_H_
