// Scores that need a dense weight gradient, or one of the current rows alone: computed layer by layer during a backward
// pass, in bounded memory.
// Never here: schedules, changes of structure.
#ifndef EDGECL_RUNTIME_LEARN_SPARSITY_GROWTH_SCORES_H_
#define EDGECL_RUNTIME_LEARN_SPARSITY_GROWTH_SCORES_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/executor.h"

namespace edgecl {

struct Session;
struct SessionConfig;

// The best positions of one layer that hold no weight, as keys (sparse_edit.h), best first by no rule: a set.
struct GrowthCandidates {
  uint32_t* keys;  // [capacity]
  uint32_t capacity, n;
};

// The dense gradient is made a few output rows at a time, as the gradient of a pattern in which these rows are full.
struct GrowthScratch {
  uint32_t* row_start = nullptr;     // [largest units + 1]
  uint16_t* index = nullptr;         // [entries of a piece]
  float* gradient = nullptr;         // [entries of a piece]
  float* current = nullptr;          // the same, of the current rows alone; null when importance does not split
  float* output_gradient = nullptr;  // [largest layer output] with replayed rows at zero; null likewise
  uint32_t* keys = nullptr;          // [2 * most candidates] with their scores, cut back to the best when full
  float* scores = nullptr;
  uint8_t* best = nullptr;

  bool any() const { return row_start != nullptr || output_gradient != nullptr; }
};

void lay_out_growth_scores(Arena* arena, const Plan& plan, const SessionConfig& config, struct StructureMemory* memory);
uint64_t growth_scratch_bytes(const Plan& plan, const ScratchTable& kernels, const SessionConfig& config);

// LayerProbe::after_backward of a step that ends with an update; `session` is the user.
void score_layer(void* session, const format::BackwardRecord& record);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SPARSITY_GROWTH_SCORES_H_
