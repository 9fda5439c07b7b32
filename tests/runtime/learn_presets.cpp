// Presets and schedules of a recipe.
// Never here: what learning by them gives.
#include <math.h>

#include <set>
#include <string>

#include "runtime/core/recipe.h"
#include "runtime/learn/presets.h"
#include "runtime/learn/schedules.h"
#include "tests/runtime/check.h"

using namespace edgecl;

static format::RecipeRecord plain_recipe() {
  format::RecipeRecord recipe = {};
  recipe.learning_rate = 0.1f;
  recipe.batch_size = 10;
  return recipe;
}

TEST(every_preset_makes_a_sound_recipe) {
  std::set<std::string> names;
  for (uint32_t i = 0; i < preset_count(); i++) {
    const Preset p = preset(i);
    CHECK(names.insert(p.name).second && p.title[0] && p.source[0] && p.compared[0]);
    format::RecipeRecord recipe = plain_recipe();
    CHECK(apply_preset(p.name, &recipe).ok());
    CHECK_MESSAGE(check_recipe(recipe).ok(), "%s", p.name);
    CHECK(recipe.learning_rate == 0.1f && recipe.batch_size == 10);
  }
  for (uint32_t i = 0; kMethodNames[i]; i++) CHECK(std::string(preset(i).name) == kMethodNames[i]);
}

TEST(names_of_presets) {
  format::RecipeRecord recipe = plain_recipe();
  for (const char* name : {"er-ace", "er_ace"}) {
    recipe.method = format::kMethodEr;
    CHECK(apply_preset(name, &recipe).ok() && recipe.method == format::kMethodErAce);
  }
  CHECK(apply_preset("sparcl", &recipe).code == EDGECL_E_NOT_FOUND);
  CHECK(apply_preset("sparcl-derpp", &recipe).ok());
  CHECK(recipe.method == format::kMethodDerpp && recipe.class_mask == 1 && recipe.structure == format::kStructureTdm);
  CHECK(recipe.structure_updates == 8 && recipe.structure_intra == 0.01f && recipe.gradient_keep == 0.8f);
  CHECK(recipe.removal_share == 0.3f && scheduled_removal(recipe, 1000, 3) == 100);
  CHECK(apply_preset("nothing", &recipe).code == EDGECL_E_NOT_FOUND);
}

TEST(rates_through_a_task) {
  format::RecipeRecord recipe = plain_recipe();
  recipe.rate_floor = 0.05f;
  for (double done : {-1.0, 0.0, 0.3, 1.0, 2.0}) CHECK(scheduled_rate(recipe, 0.2f, done) == 0.2f);
  for (int i = 0; i <= 100; i++) {
    const double x = i / 100.0, floor = static_cast<double>(recipe.rate_floor), full = static_cast<double>(0.2f);
    recipe.rate_schedule = format::kRateLinear;
    CHECK(fabs(static_cast<double>(scheduled_rate(recipe, 0.2f, x)) - full * fmax(floor, 1 - x)) < 1e-8);
    recipe.rate_schedule = format::kRateCosine;
    const double cosine = full * (floor + (1 - floor) * (1 + cos(M_PI * x)) / 2);
    CHECK(fabs(static_cast<double>(scheduled_rate(recipe, 0.2f, x)) - cosine) < 1e-8);
  }
  CHECK(scheduled_rate(recipe, 0.2f, 7) == scheduled_rate(recipe, 0.2f, 1));
}

TEST(removal_and_rehearsal) {
  format::RecipeRecord recipe = plain_recipe();
  CHECK(scheduled_removal(recipe, 1000, 1) == 0 && scheduled_rehearsal(recipe, 10) == 0);
  recipe.removal_share = 0.3f;
  recipe.removal_stages = 1u << 1 | 1u << 2 | 1u << 4;
  for (uint32_t epoch = 0; epoch < 40; epoch++)
    CHECK(scheduled_removal(recipe, 1000, epoch) == (epoch == 1 || epoch == 2 || epoch == 4 ? 100u : 0u));
  CHECK(scheduled_removal(recipe, 0, 1) == 0 && scheduled_removal(recipe, 1, 1) == 0);
  recipe.removal_share = 0.99f;
  for (uint32_t n = 1; n < 40; n++) CHECK(3 * scheduled_removal(recipe, n, 2) < n);
  recipe.rehearse_steps = 5;
  recipe.rehearse_interval = 20;
  for (uint64_t step = 0; step < 100; step++)
    CHECK(scheduled_rehearsal(recipe, step) == (step > 0 && step % 20 == 0 ? 5u : 0u));
}

RUN_TESTS()
