// Novelty scores: how far a sample lies from what was learned, one kind a file; larger is more novel.
// Never here: thresholds (threshold.h), what is done with a novel sample.
#ifndef EDGECL_RUNTIME_NOVELTY_NOVELTY_H_
#define EDGECL_RUNTIME_NOVELTY_NOVELTY_H_

#include "runtime/core/subset.h"
#include "runtime/heads/statistics_head.h"

namespace edgecl {

// What a relative Mahalanobis score is computed from, made anew when the statistics changed.
struct RelativeMahalanobis;

// Memory of a session's scores.
struct NoveltyMemory {
  RelativeMahalanobis* relative = nullptr;  // with novelty = rmds
  double* work = nullptr;                   // [3 * columns] of one row
};

// What a score may look at.
struct NoveltyInput {
  const HeadMemory& head;
  const NoveltyMemory& memory;
  const uint8_t* present;  // [columns] classes
  const Net& net;
  Tensor embedding, logits;  // of a predict pass
};

// `fit` has no functions: it comes out of routing (runtime/learn/inference.h).
struct NoveltyKind {
  const char* name;
  bool logits;  // needs the head's scores
  // E_UNSUPPORTED: the session does not keep what the score needs.
  Status (*check)(const HeadMemory& head, const NoveltyMemory& memory);
  // Before the passes; works in the activations of `net`. E_NUMERIC, E_SEQUENCE (nothing was learned).
  Status (*prepare)(const HeadMemory& head, const NoveltyMemory& memory, const Net& net);
  float (*score)(const NoveltyInput& input, uint32_t row);
};

// X(constant, number, kind): a new score is a line here, its name in kNoveltyNames, and a file.
#define EDGECL_NOVELTY(X)                         \
  X(kNoveltyMaxLogit, 1, kMaxLogitNovelty)        \
  X(kNoveltyEnergy, 2, kEnergyNovelty)            \
  X(kNoveltyRmds, 3, kRelativeMahalanobisNovelty) \
  X(kNoveltyKnn, 4, kNearestRowsNovelty)          \
  X(kNoveltyHd, 5, kHdNovelty)                    \
  X(kNoveltyFit, 6, kFitNovelty)

#define EDGECL_NOVELTY_COUNT(constant, number, kind) +1
constexpr uint32_t kNoveltyScores = 0 EDGECL_NOVELTY(EDGECL_NOVELTY_COUNT);
#undef EDGECL_NOVELTY_COUNT

#define EDGECL_NOVELTY_DECLARATION(constant, number, kind) extern const NoveltyKind kind;
#define EDGECL_NOVELTY_NUMBER(constant, number, kind) constant = number,
EDGECL_NOVELTY(EDGECL_NOVELTY_DECLARATION)
enum NoveltyNumber : uint32_t { kNoveltyNone = 0, EDGECL_NOVELTY(EDGECL_NOVELTY_NUMBER) };
#undef EDGECL_NOVELTY_DECLARATION
#undef EDGECL_NOVELTY_NUMBER

// Null for a number that is none, and for kNoveltyNone.
const NoveltyKind* novelty_kind(uint32_t number);

// Memory of a session with this recipe, in the region "head"; floats of activations that `prepare` works in, and scratch
// memory of one thread.
void lay_out_novelty(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, NoveltyMemory* memory);
uint64_t novelty_work_floats(const Plan& plan, const format::RecipeRecord& recipe);
uint64_t novelty_scratch_bytes(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels);
// What was prepared holds no more: the statistics changed.
void novelty_stale(const NoveltyMemory& memory);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_NOVELTY_NOVELTY_H_
