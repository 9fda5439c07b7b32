// Names of the choices of a recipe, and the ranges of its sparsity fields: what bundles and sessions agree on.
// Never here: what a choice does (runtime/learn).
#ifndef EDGECL_RUNTIME_CORE_RECIPE_H_
#define EDGECL_RUNTIME_CORE_RECIPE_H_

#include <stdint.h>

#include "runtime/core/plan_records.h"

namespace edgecl {

// By value, ending with null.
constexpr const char* kMethodNames[] = {"finetune", "er", "derpp", "er_ace", "uer", "fpf", nullptr};
constexpr const char* kStructureNames[] = {"static", "tdm", "set", "rigl", nullptr};
constexpr const char* kGrowthNames[] = {"random", "gradient", "importance", nullptr};
constexpr const char* kGradientMaskNames[] = {"all", "dgm", "migu", "hft", nullptr};
constexpr const char* kRateScheduleNames[] = {"constant", "linear", "cosine", nullptr};
constexpr const char* kRemovalScoreNames[] = {"misclassified", "forgetting", nullptr};
constexpr const char* kBoundaryNames[] = {"caller", "drift", nullptr};

// A field of the record that is out of its range, and the range in words; null field: all are good.
struct FieldFault {
  const char* field;
  const char* expected;
};
FieldFault sparsity_fault(const format::SparsityRecord& sparsity);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_CORE_RECIPE_H_
