// What a continual-learning method decides in a step: how many replay draws, and which loss term meets which rows.
// Never here: how a draw or a loss is computed (replay.h, loss.h), the update (optimizer.h).
#ifndef EDGECL_RUNTIME_LEARN_METHODS_METHOD_H_
#define EDGECL_RUNTIME_LEARN_METHODS_METHOD_H_

#include <stdint.h>

#include "runtime/learn/config.h"
#include "runtime/learn/presets.h"

namespace edgecl {

struct Session;

constexpr uint32_t kMaxDraws = 2;
constexpr uint32_t kMaxSegments = 1 + kMaxDraws;

// A step makes ONE forward pass over the rows [current | draw 1 | draw 2], so batch-norm statistics are shared by all
// of them.
enum Segment : uint32_t { kSegmentCurrent = 0, kSegmentDraw1 = 1, kSegmentDraw2 = 2 };
struct StepRows {
  uint32_t n[kMaxSegments];  // rows of each segment; draws may be empty (buffer empty, or the method makes none)
  uint32_t n_present;        // classes present in the session, those that this batch adds included
};

// kCosineCrossEntropy: of the current rows, by cosine logits (cosine_logits.h).
enum class LossKind { kCrossEntropy, kCosineCrossEntropy, kLogitsMse };
// Logits that take part: all classes present in the session, or only those that have a row in the current batch.
enum class ClassScope { kPresent, kBatch };

// One term: sum over the segment's rows of row_weight * loss(row).
struct LossTerm {
  LossKind kind;
  Segment segment;
  ClassScope scope;
  float row_weight;
};
// The loss of a step. Each row belongs to exactly one term (the kernels overwrite its gradient).
struct LossTerms {
  LossTerm terms[kMaxSegments];
  uint32_t n_terms;
  void add(const LossTerm& term) { terms[n_terms++] = term; }
};

struct Method {
  // As a preset, under the method's name (presets.h); `settings` end with kPresetEnd, or are null.
  const char *title, *source, *compared;
  uint32_t needs;
  const PresetSetting* settings;

  // Independent draws of at most config.replay_batch rows that each step makes; decides memory, so it may not depend on
  // the step.
  uint32_t (*n_draws)(const SessionConfig& config);
  // Whether the buffer keeps the logits of the step in which a sample came.
  bool (*stores_logits)(const SessionConfig& config);
  void (*losses)(const SessionConfig& config, const StepRows& rows, LossTerms* terms);
  // Called after each backward record of a step; null: nothing to add.
  void (*after_backward)(Session* session, const format::BackwardRecord& record) = nullptr;
  // What it asks of the bundle and of its own settings; null: nothing. Errors: E_ARGUMENT, E_UNSUPPORTED.
  Status (*check)(const Plan& plan, const SessionConfig& config) = nullptr;
};

#define METHOD(constant, number, name, rule) extern const Method rule;
#include "runtime/core/methods.def"
#undef METHOD

// By format::Method, which check_config proved to be one.
const Method& method_rule(uint32_t number);
inline const Method& method_of(const SessionConfig& config) {
  return method_rule(config.method);
}

// Draws of a step under this configuration: the method's, or none without a buffer. Most rows of one draw (rehearsals
// draw as many), and of a whole step, learned or rehearsed.
uint32_t config_draws(const SessionConfig& config);
uint32_t config_draw_rows(const SessionConfig& config);
uint32_t config_step_rows(const SessionConfig& config);
bool config_stores_logits(const SessionConfig& config);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_METHODS_METHOD_H_
