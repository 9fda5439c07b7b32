// Presets: methods by the names that users know, as settings of a recipe.
// Never here: what a setting does.
#ifndef EDGECL_RUNTIME_LEARN_PRESETS_H_
#define EDGECL_RUNTIME_LEARN_PRESETS_H_

#include <stdint.h>

#include "runtime/core/plan_records.h"
#include "runtime/core/recipe.h"
#include "runtime/core/status.h"

namespace edgecl {

// What bundle and stream must have; the bits of EDGECL_NEEDS_*.
enum PresetNeeds : uint32_t {
  kNeedsReplay = EDGECL_NEEDS_REPLAY,
  kNeedsSparse = EDGECL_NEEDS_SPARSE,
  kNeedsBoundaries = EDGECL_NEEDS_BOUNDARIES,
  kNeedsTail = EDGECL_NEEDS_TAIL,
  kNeedsHead = EDGECL_NEEDS_HEAD,
};

// One field of a recipe; choices by their number. (Words, not names: a pointer costs 32 bytes of a shared library.)
struct PresetSetting {
  RecipeWord word;
  float value;
};
constexpr PresetSetting kPresetEnd = {RecipeWord::method, 0};  // each preset sets the method by itself

struct Preset {
  const char* name;
  const char* title;              // the method in words
  const char* source;             // authors and year; "-" when there is none
  const char* compared;           // what its results were compared with
  uint32_t needs;                 // PresetNeeds
  uint32_t method;                // format::Method
  const PresetSetting* parts[2];  // each ends with kPresetEnd; unused ones are null
};
extern const char kComparedLosses[];  // "losses of every step ..."

// Every method of methods.def is a preset by its own name; further ones follow.
uint32_t preset_count();
Preset preset(uint32_t index);

// Sets what the preset sets; all other fields stay.
void apply_preset(const Preset& preset, format::RecipeRecord* recipe);
// The same by name, "-" and "_" being the same. E_NOT_FOUND.
Status apply_preset(const char* name, format::RecipeRecord* recipe);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_PRESETS_H_
