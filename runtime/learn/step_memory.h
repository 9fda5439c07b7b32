// The step under way: its work arrays, and how far it has come.
// Never here: anything that means something once the step is done.
#ifndef EDGECL_RUNTIME_LEARN_STEP_MEMORY_H_
#define EDGECL_RUNTIME_LEARN_STEP_MEMORY_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/executor.h"
#include "runtime/core/plan.h"
#include "runtime/learn/config.h"
#include "runtime/learn/methods/cosine_logits.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/optimizer.h"
#include "runtime/learn/step_cost.h"

namespace edgecl {

// Weighted sums over rows; total = current + replay + logits, in that order.
struct LossSums {
  float total;
  float current;  // cross-entropy of the current rows
  float replay;   // cross-entropy of replayed rows
  float logits;   // squared error to stored logits
};

// A step goes through these in order and may stop between any two units of work (learner.h). Nothing that lasts is
// written before kCommit.
enum class Stage : uint8_t { kIdle, kDraw, kForward, kLoss, kBackward, kCheck, kCommit };

struct StepMemory {
  // Arrays; null where the configuration has no use for them.
  const void** samples;     // [rows] raw sample of each row
  int32_t* labels;          // [rows]
  float* loss_rows;         // [rows]
  const float** targets;    // [rows] stored logits of a replayed row (DER++)
  uint32_t* slots;          // [draws * rows of a draw] buffer slots, in row order
  uint8_t* present;         // [columns] classes present once this batch's new ones are added
  uint8_t* batch_classes;   // [columns] classes with a row in the batch
  uint8_t* correct;         // [max_batch] largest logit of a current row was that of its label
  int8_t *crop_y, *crop_x;  // [rows]
  uint8_t* flip;            // [rows]
  float* latents;           // [max_batch][border] of the current rows; latent replay
  float* logits;            // [max_batch][columns] of the current rows, kept for the buffer (DER++)
  float* embeddings;        // [max_batch][embedding] of the current rows, for a head that learns by itself
  CosineMemory cosine;      // UER
  float* raw_row;           // [elements] an exemplar of the bundle as floats, where it is stored as integers
  float* row_scores;        // [largest number of rows of a sparse layer] MIGU
  uint8_t* row_chosen;      // the same

  // Progress.
  Stage stage;
  uint32_t at;  // units done of the stage
  uint32_t n_rows, n_current, n_replayed;
  const float* row_weights;  // [n_current] of the caller; null: all 1
  const char* note;
  uint32_t n_records;      // of the backward list: those above what rests
  bool structure_changed;  // by the commit
  bool scores_layers;      // the backward pass scores layers for a change of structure
  StepRows rows;
  LossTerms terms;
  LossSums loss;
  RowMacs macs;
  SgdRates rates;
  UpdateBounds bounds;  // after the update
  LayerProbe probe;
};

// Takes the arrays in region "step".
void lay_out_step(Arena* arena, const Plan& plan, const SessionConfig& config, StepMemory* step);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_STEP_MEMORY_H_
