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
constexpr const char* kHeadNames[] = {"gradient", nullptr};  // heads/head.h
constexpr const char* kStructureNames[] = {"static", "tdm", "set", "rigl", nullptr};
constexpr const char* kGrowthNames[] = {"random", "gradient", "importance", nullptr};
constexpr const char* kGradientMaskNames[] = {"all", "dgm", "migu", "hft", nullptr};
constexpr const char* kBoundaryNames[] = {"caller", "drift", nullptr};
constexpr const char* kRateScheduleNames[] = {"constant", "linear", "cosine", nullptr};
constexpr const char* kRemovalScoreNames[] = {"misclassified", "forgetting", nullptr};
constexpr const char* kTrainableNames[] = {"all", "tail", "head", nullptr};

// One field of a recipe: word i of RecipeRecord is field i.
struct RecipeField {
  enum Kind : uint32_t { kChoice, kFlag, kCount, kNumber };
  char name[20];  // text in place of pointers, which a shared library would have to relocate
  Kind kind;
  uint32_t low, high;  // kCount; also of kFlag and kChoice
  float least, most;   // kNumber
  char range[16];      // kNumber, in words
};
// By word; kRecipeFields of them.
const RecipeField* recipe_fields();
// The names of a choice by value, ending with null; null for other kinds. `field` is one of recipe_fields().
const char* const* recipe_choices(const RecipeField& field);
// The field of that name, or null.
const RecipeField* recipe_field(const char* name);

// E_ARGUMENT for a field out of its range or in conflict with another; the sentence and Status::field name it.
Status check_recipe(const format::RecipeRecord& recipe);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_RECIPE_H_
