// What all heads that keep statistics share: memory, learning, forgetting, state. One differs from another in its
// readout: how class scores are made of the statistics.
// Never here: a readout (<kind>_head.cpp).
#ifndef EDGECL_RUNTIME_HEADS_STATISTICS_HEAD_H_
#define EDGECL_RUNTIME_HEADS_STATISTICS_HEAD_H_

#include "runtime/heads/head.h"
#include "runtime/heads/statistics.h"
#include "runtime/state/section_reader.h"

namespace edgecl {

struct Readout;

struct StatisticsHead {
  Statistics statistics;
  const Readout* readout = nullptr;
  float shrinkage = 0, cosine_scale = 0;  // of the recipe
  float* weight = nullptr;                // [dim][columns], as the linear layer reads it
  float* bias = nullptr;                  // [columns]
  int64_t* all = nullptr;                 // [dim] work of a readout: sums over the classes
  double* factor = nullptr;               // a triangle a class, made of its moments; null: they are not of classes
  double* rows = nullptr;                 // [2][dim][kMetricRows] work of scores by such factors
  uint8_t* changed = nullptr;             // [columns] 1: the class learned or forgot since its column was made
  bool solved = false;                    // weight and bias are those of the statistics
};
EDGECL_TARGET_BYTES(StatisticsHead, 140, 232);

constexpr uint32_t kMetricRows = 32;  // that are scored together where each class has a factor

// How scores = weight * z + bias come out of statistics. Columns of classes without a row stay as they are.
struct Readout {
  Moments moments;       // that it needs
  bool divides_by_norm;  // scores are divided by |z|
  // Doubles that `solve` works in.
  uint64_t (*work)(uint64_t dim, uint64_t columns);
  // Makes weight and bias of the classes that have rows. E_NUMERIC.
  Status (*solve)(StatisticsHead* head, const Net& net, double* work);
};

// Score of a class that has no row: never the largest, and nothing in a softmax.
constexpr float kNoScore = -1e30f;

namespace statistics_head {

StatisticsSize size_of(const Plan& plan, const format::RecipeRecord& recipe);
Status check(const Plan& plan);
void lay_out(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, Weights* weights, HeadMemory* memory);
uint64_t work_floats(const Plan& plan, const format::RecipeRecord& recipe);
uint64_t scratch_bytes(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels);
void reset(const HeadMemory& memory);
// The sums changed otherwise than by rows.
void merged(const HeadMemory& memory);
Status prepare(const HeadMemory& memory, const Net& net);
void score(const HeadMemory& memory, const Net& net, uint32_t rows, Mode mode, const LayerProbe* probe);
Status check_learn(const HeadMemory& memory, uint32_t n);
void learn_rows(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels, uint32_t n);
Status unlearn_rows(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels,
                    uint32_t n);
Status check_forget(const HeadMemory& memory, uint32_t label);
void forget_class(const HeadMemory& memory, const Net& net, uint32_t label);
HeadSummary summary(const HeadMemory& memory);
// Its section of a state (statistics_state.cpp).
uint64_t section_bytes_max(const Plan& plan, const format::RecipeRecord& recipe);
void write_state(SectionWriter* out, const HeadMemory& memory, Whose whose);
Status read_state(SectionReader* in, const HeadMemory& memory, bool apply);
// Rows of each class, [columns], by a section that read_state found sound.
void section_rows(SectionReader in, const StatisticsSize& size, uint32_t* rows);

// The kind of head that a readout makes. With moments of classes `score` and the check of sizes are the head's own.
constexpr HeadKind kind(const char* name, const Readout* readout) {
  HeadKind kind = {};
  kind.name = name;
  kind.check = check;
  kind.lay_out = lay_out;
  kind.work_floats = work_floats;
  kind.scratch_bytes = scratch_bytes;
  kind.reset = reset;
  kind.prepare = prepare;
  kind.score = score;
  kind.check_learn = check_learn;
  kind.learn_rows = learn_rows;
  kind.unlearn_rows = unlearn_rows;
  kind.check_forget = check_forget;
  kind.forget_class = forget_class;
  kind.merged = merged;
  kind.section_bytes_max = section_bytes_max;
  kind.write_state = write_state;
  kind.read_state = read_state;
  kind.section_rows = section_rows;
  kind.summary = summary;
  kind.readout = readout;
  return kind;
}

}  // namespace statistics_head
}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_STATISTICS_HEAD_H_
