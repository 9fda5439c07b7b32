// Ranges of the sparsity fields of a recipe.
// Never here: checks that need a plan (runtime/learn/config.cpp).
#include "runtime/core/recipe.h"

namespace edgecl {
namespace {

bool within(float x, float low, float high) {
  return x >= low && x <= high;  // false for NaN
}

}  // namespace

FieldFault sparsity_fault(const format::SparsityRecord& s) {
  constexpr float kMost = 1e9f;
  const bool moves = s.structure != format::kStructureStatic, masks = s.gradient_mask != format::kGradientAll;
  if (s.structure > format::kStructureRigl) return {"structure", "0..3"};
  if (s.growth > format::kGrowthImportance) return {"growth", "0..2"};
  if (moves && s.interval == 0) return {"structure_interval", "at least 1"};
  if (!within(s.inter, 0, 0.5f)) return {"structure_inter", "in 0..0.5"};
  if (!within(s.intra, 0, 1.0f)) return {"structure_intra", "in 0..1"};
  if (!within(s.importance_current, 0, kMost)) return {"importance_current", "in 0..1e9"};
  if (!within(s.importance_replay, 0, kMost)) return {"importance_replay", "in 0..1e9"};
  if (s.gradient_mask > format::kGradientHft) return {"gradient_mask", "0..3"};
  if (masks && s.gradient_interval == 0) return {"gradient_interval", "at least 1"};
  if (masks && !(within(s.gradient_keep, 0, 1.0f) && s.gradient_keep > 0)) return {"gradient_keep", "in (0, 1]"};
  if (s.boundary > format::kBoundaryDrift) return {"boundary", "0..1"};
  if (!within(s.drift_delta, 0, kMost)) return {"drift_delta", "in 0..1e9"};
  if (!within(s.drift_threshold, 0, kMost) || (s.boundary == format::kBoundaryDrift && !(s.drift_threshold > 0)))
    return {"drift_threshold", "above 0, at most 1e9"};
  for (const uint32_t reserved : s.reserved) {
    if (reserved != 0) return {"reserved", "0"};
  }
  return {nullptr, nullptr};
}

}  // namespace edgecl
