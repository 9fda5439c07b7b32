// Presets and schedules of a recipe.
// Never here: what they are (runtime/learn/presets.cpp, schedules.cpp).
#include "runtime/api/api_objects.h"
#include "runtime/core/recipe.h"
#include "runtime/learn/methods/method.h"
#include "runtime/learn/presets.h"
#include "runtime/learn/schedules.h"

namespace edgecl::api {
namespace {

Status apply_to(edgecl_session_config* config, const char* name) {
  EDGECL_RETURN_IF_FAILED(check_struct(config, "edgecl_session_config"));
  EDGECL_RETURN_IF_FAILED(check_pointer(name, "name"));
  edgecl_session_config all = read_struct(config);
  format::RecipeRecord recipe = recipe_of(all);
  EDGECL_RETURN_IF_FAILED(apply_preset(name, &recipe));
  set_recipe(recipe, &all);
  for (size_t i = config->struct_size; i < sizeof all; i++) {
    if (reinterpret_cast<const uint8_t*>(&all)[i] != 0) {
      return failure(EDGECL_E_ARGUMENT,
                     "expected a struct with all fields that \"%s\" sets; found one of %u bytes; "
                     "use a newer edgecl.h",
                     name, config->struct_size);
    }
  }
  write_struct(all, config);
  return Status();
}

// The recipe of a configuration, checked, where there is room for the result.
Status read_recipe(const edgecl_session_config* config, const void* result, format::RecipeRecord* recipe) {
  EDGECL_RETURN_IF_FAILED(check_struct(config, "edgecl_session_config"));
  EDGECL_RETURN_IF_FAILED(check_pointer(result, "the result"));
  *recipe = recipe_of(read_struct(config));
  return check_recipe(*recipe);
}

edgecl_status finish(const Status& status, edgecl_error* err) {
  return status.ok() ? EDGECL_OK : report(status, err);
}

}  // namespace
}  // namespace edgecl::api

using namespace edgecl;

extern "C" {

uint32_t edgecl_preset_count(void) {
  return preset_count();
}

edgecl_status edgecl_preset_describe(uint32_t index, edgecl_preset_info* info) {
  if (!api::check_struct(info, "edgecl_preset_info").ok()) return EDGECL_E_ARGUMENT;
  if (index >= preset_count()) return EDGECL_E_NOT_FOUND;
  const Preset found = preset(index);
  const edgecl_preset_info record = {sizeof record, found.needs, found.name, found.title, found.source, found.compared};
  api::write_struct(record, info);
  return EDGECL_OK;
}

edgecl_status edgecl_session_config_preset(edgecl_session_config* config, const char* name, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  return api::finish(api::apply_to(config, name), err);
}

edgecl_status edgecl_replay_rows(const edgecl_session_config* config, uint32_t* n_rows, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  SessionConfig known = {};
  const Status status = api::read_recipe(config, n_rows, &known);
  if (status.ok()) *n_rows = config_draws(known) * config_draw_rows(known);
  return api::finish(status, err);
}

edgecl_status edgecl_schedule_rate(const edgecl_session_config* config, double done, float* learning_rate,
                                   edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  format::RecipeRecord recipe;
  const Status status = api::read_recipe(config, learning_rate, &recipe);
  if (status.ok()) *learning_rate = scheduled_rate(recipe, recipe.learning_rate, done);
  return api::finish(status, err);
}

edgecl_status edgecl_schedule_removal(const edgecl_session_config* config, uint32_t n_examples, uint32_t epoch,
                                      uint32_t* n_remove, edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  const FpControl fp;
  format::RecipeRecord recipe;
  const Status status = api::read_recipe(config, n_remove, &recipe);
  if (status.ok()) *n_remove = scheduled_removal(recipe, n_examples, epoch);
  return api::finish(status, err);
}

edgecl_status edgecl_schedule_rehearsal(const edgecl_session_config* config, uint64_t steps_in_task, uint32_t* n_steps,
                                        edgecl_error* err) {
  if (!api::good_error(err)) return EDGECL_E_ARGUMENT;
  format::RecipeRecord recipe;
  const Status status = api::read_recipe(config, n_steps, &recipe);
  if (status.ok()) *n_steps = scheduled_rehearsal(recipe, steps_in_task);
  return api::finish(status, err);
}

}  // extern "C"
