// Presets: methods by the names that users know, as settings of a recipe.
// Never here: what a setting does.
#ifndef EDGECL_RUNTIME_LEARN_PRESETS_H_
#define EDGECL_RUNTIME_LEARN_PRESETS_H_

#include <stdint.h>

#include "runtime/core/plan_records.h"
#include "runtime/core/status.h"

namespace edgecl {

// What bundle and stream must have.
enum PresetNeeds : uint32_t {
  kNeedsReplay = 1,      // a replay buffer
  kNeedsSparse = 2,      // sparse layers that train
  kNeedsBoundaries = 4,  // task ends told or detected
  kNeedsTail = 8,        // a frozen lower part
};

// One field of a recipe (recipe_fields.def); choices by their number.
struct PresetSetting {
  uint32_t word;  // in RecipeRecord: the index of recipe_fields()
  float value;
};

struct Preset {
  const char* name;
  const char* title;              // the method in words
  const char* source;             // authors and year; "-" when there is none
  const char* compared;           // what its results were compared with
  uint32_t needs;                 // PresetNeeds
  const PresetSetting* parts[3];  // each ends with the word kRecipeFields; unused ones are null
};

uint32_t preset_count();
// index < preset_count().
Preset preset(uint32_t index);
// Index by name, "-" and "_" being the same; kNone when there is none.
uint32_t find_preset(const char* name);

// Sets what the preset sets; all other fields stay.
void apply_preset(const Preset& preset, format::RecipeRecord* recipe);
// The same by name. E_NOT_FOUND.
Status apply_preset(const char* name, format::RecipeRecord* recipe);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_PRESETS_H_
