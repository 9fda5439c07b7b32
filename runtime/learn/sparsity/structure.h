// Dynamic structure of sparse layers: when weights are dropped and grown, and the change itself.
// Never here: how a rule counts (structure_<name>.cpp), the dense scores of growth by gradient (growth_scores.h).
#ifndef EDGECL_RUNTIME_LEARN_SPARSITY_STRUCTURE_H_
#define EDGECL_RUNTIME_LEARN_SPARSITY_STRUCTURE_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/learn/config.h"
#include "runtime/learn/sparsity/growth_scores.h"

namespace edgecl {

struct Session;

// A sparse layer that trains.
struct StructureLayer {
  uint32_t param, op;
  uint32_t size;            // positions, stored or not
  uint32_t target;          // weights that the bundle ships
  GrowthCandidates growth;  // of the step under way, where growth reads gradients
  float*
      current_gradient;  // [capacity] gradient of the current rows alone, where importance tells them apart; else null
};
EDGECL_TARGET_BYTES(StructureLayer, 32, 40);

struct StructureMemory {
  StructureLayer* layers = nullptr;
  uint32_t n_layers = 0;
  uint8_t* keep = nullptr;    // [largest capacity]
  uint64_t* words = nullptr;  // [largest number of position words]
  GrowthScratch scores;
};

// What an update makes of a layer: prune to the `keep` most important, then grow to `total` weights.
struct Exchange {
  uint32_t keep, total;
};

// One rule; each in a file of its own.
struct StructureRule {
  // Update u = 1..updates + 1 of a task for a layer that holds n weights; the last one settles the structure.
  Exchange (*exchange)(const format::RecipeRecord& s, uint32_t update, const StructureLayer& layer, uint32_t n);
  // Weights at a task's start, for a layer that was settled at n.
  uint32_t (*task_start)(const format::RecipeRecord& s, const StructureLayer& layer, uint32_t n);
  // Most weights that a layer may come to hold.
  uint64_t (*most)(const format::RecipeRecord& s, uint64_t size, uint64_t target);
  bool importance_reads_gradient;
};
// Pieces that SET and RigL share: a falling share of the stored weights is replaced, a task's start changes nothing.
Exchange replace_share(const format::RecipeRecord& s, uint32_t update, const StructureLayer& layer, uint32_t n);
uint32_t keep_structure(const format::RecipeRecord& s, const StructureLayer& layer, uint32_t n);
uint64_t keep_target(const format::RecipeRecord& s, uint64_t size, uint64_t target);

extern const StructureRule kTdm;   // structure_tdm.cpp
extern const StructureRule kSet;   // structure_set.cpp
extern const StructureRule kRigl;  // structure_rigl.cpp

// Null for a static structure.
const StructureRule* structure_rule(const SessionConfig& config);
// Where growth of an exchange comes from: the rule's own choice, or the configuration's.
uint32_t growth_of(const SessionConfig& config);
// Whether importance keeps gradients of current and replayed rows apart.
bool splits_importance(const SessionConfig& config);
// round(share * size), the same on every machine.
uint32_t share_of(float share, uint64_t size);

// Ranges of the sparsity fields, and room in the bundle's capacities for what the rule needs. Errors: E_ARGUMENT,
// E_CAPACITY (a layer's planned capacity is too small), E_UNSUPPORTED (the bundle has no sparse layer that trains).
Status check_structure(const Plan& plan, const SessionConfig& config);

// Memory in region "structure"; none for a static structure without gradient masks.
void lay_out_structure(Arena* arena, const Plan& plan, const SessionConfig& config, StructureMemory* memory);
// Scratch bytes a thread that growth by gradient needs on top of what the passes need.
uint64_t structure_scratch_bytes(const Plan& plan, const ScratchTable& kernels, const SessionConfig& config);

// Growth at a task's start.
void structure_begin_task(Session* session);
// Whether the step under way (the steps_in_task + 1st) will end with an update.
bool structure_due(const Session& session);
// How many weights the update of the step under way will grow in a layer.
uint32_t structure_growth(const Session& session, const StructureLayer& layer);
// The update after a step's commit, if one is due; gradients are those of the step (and are used up). Returns whether
// there was one.
bool structure_after_step(Session* session);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SPARSITY_STRUCTURE_H_
