// The table of a recipe's fields, made from recipe_fields.def, and the check of a recipe.
// Never here: checks that need a plan (runtime/learn/config.cpp).
#include "runtime/core/recipe.h"

#include <float.h>
#include <string.h>

#include "runtime/core/subset.h"

namespace edgecl {
namespace {

constexpr float kLeastFeatureRange = 1e-6f;  // its quotients stay far from infinity
constexpr float kSmallestFloat = FLT_MIN, kLargestFloat = FLT_MAX, kBelowOne = 1.0f - FLT_EPSILON / 2;

template <size_t N>
constexpr uint32_t last_value(const char* const (&)[N]) {
  return N - 2;  // the list ends with null
}

#define WHOLE(name, kind, low, high) {#name, RecipeField::kind, low, high},
constexpr RecipeField kFields[] = {
#define CHOICE(name, names) WHOLE(name, kChoice, 0, last_value(names))
#define FLAG(name) WHOLE(name, kFlag, 0, 1)
#define COUNT(name, low, high) WHOLE(name, kCount, low, high)
#define EPOCHS(name) WHOLE(name, kEpochs, 0, 0xffffffff)
#define NUMBER(name, low, high, range) {#name, low, high, range},
#include "runtime/core/recipe_fields.def"
#undef CHOICE
#undef FLAG
#undef COUNT
#undef EPOCHS
#undef NUMBER
};
#undef WHOLE

constexpr const char* const* kChoices[] = {
#define CHOICE(name, names) names,
#define FLAG(name) nullptr,
#define COUNT(name, low, high) nullptr,
#define EPOCHS(name) nullptr,
#define NUMBER(name, low, high, range) nullptr,
#include "runtime/core/recipe_fields.def"
#undef CHOICE
#undef FLAG
#undef COUNT
#undef EPOCHS
#undef NUMBER
};

Status needs(const char* field, const char* expected, const char* because) {
  return failure(EDGECL_E_ARGUMENT, "expected %s %s with %s; found another value; set one", field, expected, because)
      .in_field(field);
}

}  // namespace

const RecipeField* recipe_fields() {
  return kFields;
}

const char* const* recipe_choices(uint32_t word) {
  return kChoices[word];
}

Status check_built(const format::RecipeRecord& recipe) {
  const auto missing = [](const char* part, const char* name, const char* list) {
    return failure(EDGECL_E_UNSUPPORTED, "expected a %s of this build; found %s; build the library with it (%s)", part,
                   name, list);
  };
  if (!is_built(EDGECL_BUILT_HEADS, kHeadNames[recipe.head]))
    return missing("head", kHeadNames[recipe.head], "EDGECL_HEADS");
  if (recipe.novelty != 0 && !is_built(EDGECL_BUILT_NOVELTY, kNoveltyNames[recipe.novelty]))
    return missing("novelty score", kNoveltyNames[recipe.novelty], "EDGECL_NOVELTY");
  if (!kHasStructure && (recipe.structure != format::kStructureStatic || recipe.gradient_mask != format::kGradientAll))
    return missing("part", "structure or gradient_mask", "EDGECL_PARTS");
  if (!kHasDomains && recipe.max_domains > 0) return missing("part", "max_domains", "EDGECL_PARTS");
  return Status();
}

Status check_recipe(const format::RecipeRecord& recipe) {
  const uint8_t* words = reinterpret_cast<const uint8_t*>(&recipe);
  for (const RecipeField& field : kFields) {
    uint32_t value;
    float number;
    memcpy(&value, words, sizeof value);
    memcpy(&number, words, sizeof number);
    words += sizeof value;
    if (field.kind == RecipeField::kNumber) {
      if (number >= field.least && number <= field.most) continue;  // false for NaN
      return failure(EDGECL_E_ARGUMENT, "expected %s %s; found a value outside it; set it within the range", field.name,
                     field.range)
          .in_field(field.name);
    }
    if (field.kind == RecipeField::kEpochs && (value & 1) != 0)
      return needs(field.name, "with bit 0 clear", "epochs that count from 1");
    if (value >= field.low && value <= field.high) continue;
    return failure(EDGECL_E_ARGUMENT, "expected %s in %u..%u; found %u; set it within the range", field.name, field.low,
                   field.high, value)
        .in_field(field.name);
  }
  const format::RecipeRecord& r = recipe;
  if (r.structure != format::kStructureStatic && r.structure_interval == 0)
    return needs("structure_interval", "of at least 1", "a structure that moves");
  if (r.gradient_mask != format::kGradientAll && r.gradient_interval == 0)
    return needs("gradient_interval", "of at least 1", "a gradient_mask");
  if (r.gradient_mask != format::kGradientAll && !(r.gradient_keep > 0))
    return needs("gradient_keep", "above 0", "a gradient_mask");
  if (r.boundary == format::kBoundaryDrift && !(r.drift_threshold > 0))
    return needs("drift_threshold", "above 0", "boundary = drift");
  if (r.removal_share > 0 && r.removal_stages == 0)
    return needs("removal_stages", "of one epoch at least", "a removal_share");
  if (r.rehearse_steps > 0 && r.rehearse_interval == 0)
    return needs("rehearse_interval", "of at least 1", "rehearse_steps");
  if (r.hd_bits % 64 != 0) return needs("hd_bits", "that is a multiple of 64", "codes of whole words");
  if (r.feature_range > 0 && r.feature_range < kLeastFeatureRange)
    return needs("feature_range", "of at least 1e-6, or 0", "features that are told apart");
  return Status();
}

}  // namespace edgecl
