// Presets and schedules of recipes.
// Never here: what a setting does (runtime/learn).
#include "runtime/api/api_objects.h"
#include "runtime/learn/presets.h"
#include "runtime/learn/schedules.h"

namespace edgecl::api {
namespace {

// The recipe in a configuration; what a shorter struct lacks is zero. False when the struct is no good.
bool recipe_of(const edgecl_session_config* config, format::RecipeRecord* recipe) {
  if (!check_struct(config, "edgecl_session_config").ok()) return false;
  const edgecl_session_config known = read_struct(config);
  memset(static_cast<void*>(recipe), 0, sizeof *recipe);
  read_recipe(known, recipe);
  return true;
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

static_assert(EDGECL_NEEDS_REPLAY == kNeedsReplay && EDGECL_NEEDS_SPARSE == kNeedsSparse &&
                  EDGECL_NEEDS_BOUNDARIES == kNeedsBoundaries && EDGECL_NEEDS_TAIL == kNeedsTail,
              "edgecl.h has the numbers of presets.h");

extern "C" {

edgecl_status edgecl_preset_describe(uint32_t index, edgecl_preset_info* info) {
  if (!api::check_struct(info, "edgecl_preset_info").ok()) return EDGECL_E_ARGUMENT;
  if (index >= preset_count()) return EDGECL_E_NOT_FOUND;
  const Preset found = preset(index);
  const edgecl_preset_info known = {sizeof known, found.needs, found.name, found.title, found.source, found.compared};
  api::write_struct(known, info);
  return EDGECL_OK;
}

edgecl_status edgecl_preset_apply(const char* name, edgecl_session_config* config) {
  format::RecipeRecord recipe;
  if (name == nullptr || !api::recipe_of(config, &recipe)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  const Status status = apply_preset(name, &recipe);
  if (!status.ok()) return status.code;
  edgecl_session_config changed = api::read_struct(config);
  api::write_recipe(recipe, &changed);
  api::write_struct(changed, config);
  return EDGECL_OK;
}

edgecl_status edgecl_schedule_rate(const edgecl_session_config* config, double done, float* learning_rate) {
  format::RecipeRecord recipe;
  if (learning_rate == nullptr || !api::recipe_of(config, &recipe)) return EDGECL_E_ARGUMENT;
  if (!(done >= 0)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  *learning_rate = scheduled_rate(recipe, recipe.learning_rate, done);
  return EDGECL_OK;
}

edgecl_status edgecl_schedule_removal(const edgecl_session_config* config, uint32_t n_examples, uint32_t epoch,
                                      uint32_t* n_remove) {
  format::RecipeRecord recipe;
  if (n_remove == nullptr || !api::recipe_of(config, &recipe)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  *n_remove = scheduled_removal(recipe, n_examples, epoch);
  return EDGECL_OK;
}

edgecl_status edgecl_schedule_rehearsal(const edgecl_session_config* config, uint64_t steps_in_task,
                                        uint32_t* n_steps) {
  format::RecipeRecord recipe;
  if (n_steps == nullptr || !api::recipe_of(config, &recipe)) return EDGECL_E_ARGUMENT;
  *n_steps = scheduled_rehearsal(recipe, steps_in_task);
  return EDGECL_OK;
}

}  // extern "C"
