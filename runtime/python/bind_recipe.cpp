// What the core knows of recipes: fields, presets, schedules, the rows that a step draws.
// Never here: formulas, sessions.
#include <cstring>

#include "runtime/core/recipe.h"
#include "runtime/python/config.h"

namespace edgecl::python {
namespace {

const char* const kKindNames[] = {"choice", "flag", "count", "epochs", "number"};
const char* const kNeedNames[] = {"replay", "sparse", "boundaries", "tail", "head"};

py::list fields() {
  py::list result;
  for (uint32_t i = 0; i < format::kRecipeFields; ++i) {
    py::list names;
    for (const char* const* name = recipe_choices(i); name != nullptr && *name != nullptr; ++name) names.append(*name);
    result.append(py::make_tuple(recipe_fields()[i].name, kKindNames[recipe_fields()[i].kind], names));
  }
  return result;
}

edgecl_session_config config_from(const py::dict& values) {
  auto config = sized<edgecl_session_config>();
  apply_config(values, &config);
  return config;
}

format::RecipeRecord recipe_from(const py::dict& values) {
  const edgecl_session_config config = config_from(values);
  format::RecipeRecord recipe = {};
  std::memcpy(&recipe, reinterpret_cast<const uint8_t*>(&config) + offsetof(edgecl_session_config, method),
              format::kRecipeFields * sizeof(uint32_t));
  return recipe;
}

void check_fields(const py::dict& values) {
  const Status status = check_recipe(recipe_from(values));
  if (status.ok()) return;
  char message[sizeof(edgecl_error::message)];
  write_message(status, message, sizeof message);
  raise_status(status.code, message);
}

// Fields that a preset sets: they come out the same, whatever was there before.
py::dict settings_of(const char* name) {
  auto low = sized<edgecl_session_config>(), high = low;
  std::memset(&high.method, 0xff, format::kRecipeFields * sizeof(uint32_t));
  ErrorRecord error;
  check(edgecl_session_config_preset(&low, name, &error), error);
  check(edgecl_session_config_preset(&high, name, &error), error);
  const py::dict all = config_dict(low);
  py::dict result;
  for (uint32_t i = 0; i < format::kRecipeFields; ++i) {
    if (std::memcmp(&low.method + i, &high.method + i, sizeof(uint32_t)) != 0) continue;
    result[recipe_fields()[i].name] = all[recipe_fields()[i].name];
  }
  return result;
}

py::list presets() {
  py::list result;
  for (uint32_t i = 0; i < edgecl_preset_count(); ++i) {
    auto info = sized<edgecl_preset_info>();
    const edgecl_status status = edgecl_preset_describe(i, &info);
    if (status != EDGECL_OK) raise_status(status, "expected a preset; found none; please report it");
    py::list needs;
    for (uint32_t bit = 0; bit < std::size(kNeedNames); ++bit) {
      if ((info.needs >> bit & 1) != 0) needs.append(kNeedNames[bit]);
    }
    py::dict d;
    d["name"] = info.name;
    d["title"] = info.title;
    d["source"] = info.source;
    d["needs"] = needs;
    d["compared"] = info.compared;
    d["settings"] = settings_of(info.name);
    result.append(d);
  }
  return result;
}

uint32_t replay_rows(const py::dict& values) {
  const edgecl_session_config config = config_from(values);
  uint32_t n = 0;
  ErrorRecord error;
  check(edgecl_replay_rows(&config, &n, &error), error);
  return n;
}

float schedule_rate(const py::dict& values, double done) {
  const edgecl_session_config config = config_from(values);
  float rate = 0;
  ErrorRecord error;
  check(edgecl_schedule_rate(&config, done, &rate, &error), error);
  return rate;
}

uint32_t schedule_removal(const py::dict& values, uint32_t n_examples, uint32_t epoch) {
  const edgecl_session_config config = config_from(values);
  uint32_t n = 0;
  ErrorRecord error;
  check(edgecl_schedule_removal(&config, n_examples, epoch, &n, &error), error);
  return n;
}

uint32_t schedule_rehearsal(const py::dict& values, uint64_t steps_in_task) {
  const edgecl_session_config config = config_from(values);
  uint32_t n = 0;
  ErrorRecord error;
  check(edgecl_schedule_rehearsal(&config, steps_in_task, &n, &error), error);
  return n;
}

}  // namespace

void bind_recipe(py::module_& module) {
  module.def("recipe_fields", &fields,
             "(name, kind, names of its values or none) of each field of a recipe, in the order of its words.");
  module.def("check_recipe", &check_fields, py::arg("values"), "ArgumentError unless these values make a recipe.");
  module.def("presets", &presets, "Methods by name: name, title, source, needs, compared, settings.");
  module.def("replay_rows", &replay_rows, py::arg("config"), "Rows that a learn step draws from a full buffer.");
  module.def("schedule_rate", &schedule_rate, py::arg("config"), py::arg("done"));
  module.def("schedule_removal", &schedule_removal, py::arg("config"), py::arg("n_examples"), py::arg("epoch"));
  module.def("schedule_rehearsal", &schedule_rehearsal, py::arg("config"), py::arg("steps_in_task"));
}

}  // namespace edgecl::python
