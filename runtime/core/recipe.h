// Names of the choices of a recipe, and the ranges of its fields: what bundles, sessions and their callers agree on.
// Never here: what a choice does (runtime/learn).
#ifndef EDGECL_RUNTIME_CORE_RECIPE_H_
#define EDGECL_RUNTIME_CORE_RECIPE_H_

#include <stdint.h>

#include "runtime/core/plan_records.h"
#include "runtime/core/status.h"

namespace edgecl {

// By value, ending with null.
#define METHOD(constant, number, name, rule) name,
constexpr const char* kMethodNames[] = {
#include "runtime/core/methods.def"
    nullptr};
#undef METHOD
constexpr const char* kHeadNames[] = {"gradient", "ncm",   "ncm_distance", "lda",  "ridge",
                                      "hd",       "fecam", "cosine",       nullptr};  // heads/head.h
constexpr const char* kNoveltyNames[] = {"none", "max_logit", "energy", "rmds",
                                         "knn",  "hd",        "fit",    nullptr};  // novelty/novelty.h
constexpr const char* kStructureNames[] = {"static", "tdm", "set", "rigl", nullptr};
constexpr const char* kGrowthNames[] = {"random", "gradient", "importance", nullptr};
constexpr const char* kGradientMaskNames[] = {"all", "dgm", "migu", "hft", nullptr};
constexpr const char* kBoundaryNames[] = {"caller", "drift", nullptr};
constexpr const char* kRateScheduleNames[] = {"constant", "linear", "cosine", nullptr};
constexpr const char* kRemovalScoreNames[] = {"misclassified", "forgetting", nullptr};
constexpr const char* kReplayPolicyNames[] = {"reservoir", "class_balanced", nullptr};
constexpr const char* kTrainableNames[] = {"all", "tail", "head", nullptr};

// Which word of a recipe a field is.
#define CHOICE(name, names) name,
#define FLAG(name) name,
#define COUNT(name, low, high) name,
#define EPOCHS(name) name,
#define NUMBER(name, low, high, range) name,
enum class RecipeWord : uint8_t {
#include "runtime/core/recipe_fields.def"
};
#undef CHOICE
#undef FLAG
#undef COUNT
#undef EPOCHS
#undef NUMBER

// One field of a recipe: word i of RecipeRecord is field i. No pointers, which cost a shared library 32 bytes each.
struct RecipeField {
  enum Kind : uint8_t { kChoice, kFlag, kCount, kEpochs, kNumber };
  char name[19];
  Kind kind;
  union {
    uint32_t high;  // all but kNumber
    float most;
  };
  union {
    uint32_t low;
    float least;
  };
  char range[14];  // kNumber, in words

  template <size_t N>
  constexpr RecipeField(const char (&text)[N], Kind k, uint32_t lowest, uint32_t highest)
      : name{}, kind(k), high(highest), low(lowest), range{} {
    copy(text, name);
  }
  template <size_t N, size_t R>
  constexpr RecipeField(const char (&text)[N], float lowest, float highest, const char (&words)[R])
      : name{}, kind(kNumber), most(highest), least(lowest), range{} {
    copy(text, name);
    copy(words, range);
  }

 private:
  template <size_t N, size_t M>
  static constexpr void copy(const char (&from)[N], char (&to)[M]) {
    static_assert(N <= M, "make room");
    for (size_t i = 0; i < N; i++) to[i] = from[i];
  }
};
// By word; kRecipeFields of them.
const RecipeField* recipe_fields();
// The names of a choice by value, ending with null; null for another field.
const char* const* recipe_choices(uint32_t word);

// E_ARGUMENT for a field out of its range or in conflict with another; the sentence and Status::field name it.
Status check_recipe(const format::RecipeRecord& recipe);
// Whether this build has what a sound recipe asks for. E_UNSUPPORTED.
Status check_built(const format::RecipeRecord& recipe);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_RECIPE_H_
