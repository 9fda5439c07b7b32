// The three schedules as functions of a recipe and of how far a task has come.
// Never here: state.
#include "runtime/learn/schedules.h"

namespace edgecl {
namespace {

// cos(pi * x) for 0 <= x <= 1: minus the sine of pi * (x - 1/2) by its series, whose first term left out is below
// 1e-11.
double cos_pi(double x) {
  constexpr double kPi = 3.14159265358979323846;
  const double angle = kPi * (x - 0.5), square = angle * angle;
  double term = angle, sum = angle;
  for (int k = 1; k <= 8; k++) {
    term = term * square / -(2.0 * k * (2.0 * k + 1.0));
    sum = sum + term;
  }
  return -sum;
}

}  // namespace

float scheduled_rate(const format::RecipeRecord& recipe, float full, double done) {
  const double x = done < 0 ? 0 : done > 1 ? 1 : done, floor = static_cast<double>(recipe.rate_floor);
  double share = 1;
  if (recipe.rate_schedule == format::kRateLinear) share = 1 - x > floor ? 1 - x : floor;
  if (recipe.rate_schedule == format::kRateCosine) share = floor + (1 - floor) * ((1 + cos_pi(x)) / 2);
  return static_cast<float>(static_cast<double>(full) * share);
}

uint32_t scheduled_removal(const format::RecipeRecord& recipe, uint32_t n_examples, uint32_t epoch) {
  if (epoch < 1 || epoch > 31 || (recipe.removal_stages >> epoch & 1) == 0 || !(recipe.removal_share > 0)) return 0;
  if (n_examples == 0) return 0;
  const uint32_t n_stages = static_cast<uint32_t>(__builtin_popcount(recipe.removal_stages));
  const uint32_t most = (n_examples - 1) / n_stages;  // one example at least is left
  const double exact = static_cast<double>(recipe.removal_share) * n_examples / n_stages;
  const uint32_t below = static_cast<uint32_t>(exact), n = exact - below < 0.5 ? below : below + 1;
  return n < most ? n : most;
}

uint32_t scheduled_rehearsal(const format::RecipeRecord& recipe, uint64_t steps_in_task) {
  if (recipe.rehearse_steps == 0 || steps_in_task == 0 || steps_in_task % recipe.rehearse_interval != 0) return 0;
  return recipe.rehearse_steps;
}

}  // namespace edgecl
