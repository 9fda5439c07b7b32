// The head: what makes class scores of an embedding, and learns classes. One kind a file.
// Never here: encoders, replay, losses; which rows are learned.
#ifndef EDGECL_RUNTIME_HEADS_HEAD_H_
#define EDGECL_RUNTIME_HEADS_HEAD_H_

#include <stdint.h>

#include "runtime/core/arena.h"
#include "runtime/core/executor.h"
#include "runtime/core/status.h"

namespace edgecl {

class SectionReader;
class SectionWriter;

struct StatisticsHead;
struct CosineHead;
struct HdHead;
struct Readout;
struct StatisticsSize;

// A head's own memory in a session.
struct HeadMemory {
  StatisticsHead* own = nullptr;  // of heads that keep statistics of embeddings, else null
  HdHead* hd = nullptr;           // of the head hd, else null
  CosineHead* cosine = nullptr;   // of the head cosine, else null
  uint32_t dim = 0;               // floats of an embedding row; 0: the model has no separate head
  uint32_t columns = 0;           // class capacity of the bundle
};

// Which sums a state takes: those of all devices, or what this one contributed.
enum class Whose { kAll, kOwn };

// What a head that learns by itself holds.
struct HeadSummary {
  uint64_t rows, saturated;
  uint32_t bank_rows, devices;
  bool solved;
};

// One kind of head. Members that are null have nothing to do.
struct HeadKind {
  const char* name;
  // True: the loss of a step reaches the head through the logits, and its weights are parameters of the plan; its
  // `backward` is then the first part of the backward pass. False: it learns from embeddings by itself, in commit, and
  // nothing below it trains.
  bool by_gradient;

  // E_UNSUPPORTED when the bundle has nothing that this head could work on.
  Status (*check)(const Plan& plan);
  // Memory beside the plan's, in the region "head"; runs over measuring arenas too. The first of `weights` to be laid
  // out; what the passes read as the head's weight and bias may be set here.
  void (*lay_out)(Arena* arena, const Plan& plan, const format::RecipeRecord& recipe, Weights* weights,
                  HeadMemory* memory);
  // Floats of activations that `prepare` works in.
  uint64_t (*work_floats)(const Plan& plan, const format::RecipeRecord& recipe);
  // Scratch memory of one thread that the head's own kernel calls need.
  uint64_t (*scratch_bytes)(const Plan& plan, const format::RecipeRecord& recipe, const ScratchTable& kernels);
  // As the bundle ships it.
  void (*reset)(const HeadMemory& memory);

  // Before passes that score: what the scores are computed from is made anew where something was learned since. Works
  // in the activations of `net`. E_NUMERIC.
  Status (*prepare)(const HeadMemory& memory, const Net& net);
  // Logits tensor from what the encoder pass left (embedding_tensor).
  void (*score)(const HeadMemory& memory, const Net& net, uint32_t rows, Mode mode, const LayerProbe* probe);
  // by_gradient: the first n_records of the backward list, from the gradient of the logits to that of the embedding.
  void (*backward)(const HeadMemory& memory, const Net& net, uint32_t rows, uint32_t n_records,
                   const LayerProbe* probe);
  // Else: whether n more rows fit. E_CAPACITY.
  Status (*check_learn)(const HeadMemory& memory, uint32_t n);
  // Takes n finite embeddings [n][dim] with labels below `columns`. Cannot fail.
  void (*learn_rows)(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels,
                     uint32_t n);
  // And the other way: as if these rows had never been learned. E_NOT_FOUND.
  Status (*unlearn_rows)(const HeadMemory& memory, const Net& net, const float* embeddings, const int32_t* labels,
                         uint32_t n);

  // E_UNSUPPORTED: the head cannot forget just this class.
  Status (*check_forget)(const HeadMemory& memory, uint32_t label);
  // All that the head knows of a class goes.
  void (*forget_class)(const HeadMemory& memory, const Net& net, uint32_t label);
  // The sums changed otherwise than by rows.
  void (*merged)(const HeadMemory& memory);

  // Its section of the state, HEAD, and the bytes of it; null: what it knows are parameters of the plan. read_state
  // gets the section twice: with apply false it checks everything and stores nothing.
  uint64_t (*section_bytes_max)(const Plan& plan, const format::RecipeRecord& recipe);
  void (*write_state)(SectionWriter* out, const HeadMemory& memory, Whose whose);
  Status (*read_state)(SectionReader* in, const HeadMemory& memory, bool apply);
  // Rows of each class, [columns], by a section that read_state found sound.
  void (*section_rows)(SectionReader in, const StatisticsSize& size, uint32_t* rows);

  HeadSummary (*summary)(const HeadMemory& memory);  // of all but by_gradient

  const Readout* readout;  // of a head that keeps statistics (statistics_head.h)
};

// X(constant, number in bundles, kind): a new head is a line here and a file.
#define EDGECL_HEADS(X)                    \
  X(kHeadGradient, 0, kGradientHead)       \
  X(kHeadNcm, 1, kNcmHead)                 \
  X(kHeadNcmDistance, 2, kNcmDistanceHead) \
  X(kHeadLda, 3, kLdaHead)                 \
  X(kHeadRidge, 4, kRidgeHead)             \
  X(kHeadHd, 5, kHdHead)                   \
  X(kHeadFecam, 6, kFecamHead)             \
  X(kHeadCosine, 7, kCosineHead)

#define EDGECL_HEAD_COUNT(constant, number, kind) +1
constexpr uint32_t kHeads = 0 EDGECL_HEADS(EDGECL_HEAD_COUNT);
#undef EDGECL_HEAD_COUNT

#define EDGECL_HEAD_DECLARATION(constant, number, kind) extern const HeadKind kind;
#define EDGECL_HEAD_NUMBER(constant, number, kind) constant = number,
EDGECL_HEADS(EDGECL_HEAD_DECLARATION)
enum HeadNumber : uint32_t { EDGECL_HEADS(EDGECL_HEAD_NUMBER) };
#undef EDGECL_HEAD_DECLARATION
#undef EDGECL_HEAD_NUMBER

// Of the plan's last layer, which every head scores with, whatever makes its weight: whether a parameter is its weight or
// bias; its op, where the encoder ends (the end of the list without such a layer); whether its columns can be classes
// (E_UNSUPPORTED).
bool is_of_last_layer(const Plan& plan, uint32_t param);
uint32_t last_layer_op(const Plan& plan);
Status check_has_columns(const Plan& plan);
// Values and velocities of a class's column of the last layer, where it trains (gradient_head.cpp).
void zero_class_column(const Net& net, uint32_t label);

// The kind of a number (HeadNumber); null for another number.
const HeadKind* head_kind(uint32_t number);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_HEADS_HEAD_H_
