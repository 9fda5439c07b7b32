// Bounds of an update, and the update.
// Never here: the arithmetic of one weight (kernel sgd_update).
#include "runtime/learn/optimizer.h"

#include "runtime/learn/config.h"
#include "runtime/learn/magnitude.h"

namespace edgecl {
namespace {

enum class Field { kValue, kGradient, kVelocity };

const float* field_of(const ParamBuffers& param, Field field) {
  return field == Field::kValue ? param.value : field == Field::kGradient ? param.gradient : param.velocity;
}

// Over all trainable parameters, each cut into as many slices as there are threads. A maximum has no order, so the cut
// changes nothing.
double largest_of_field(const Plan& plan, const Buffers& buffers, Field field) {
  float of_part[kMaxThreads] = {};
  const uint32_t n_parts = buffers.parallel.n_threads;
  auto body = [&](uint32_t part) {
    float largest = 0;
    for (uint32_t p = 0; p < plan.params.n; p++) {
      const ParamBuffers& param = buffers.params[p];
      const float* x = param.trainable ? field_of(param, field) : nullptr;
      if (x == nullptr) continue;
      const uint64_t begin = param.n * part / n_parts, end = param.n * (part + 1) / n_parts;
      const float here = largest_magnitude(x + begin, end - begin);
      largest = here > largest ? here : largest;
    }
    of_part[part] = largest;
  };
  buffers.parallel.run(n_parts, body);
  float largest = 0;
  for (uint32_t part = 0; part < n_parts; part++) largest = of_part[part] > largest ? of_part[part] : largest;
  return static_cast<double>(largest);
}

// Bounds after the update; the last factor covers the roundings of the float arithmetic.
UpdateBounds after_update(const UpdateBounds& before, double gradient, const SgdRates& rates) {
  constexpr double kRounding = 1.0 + 1e-6;
  const double decay = static_cast<double>(rates.weight_decay) * before.weight;
  UpdateBounds after;
  after.velocity = (static_cast<double>(rates.momentum) * before.velocity + gradient + decay) * kRounding;
  after.weight = (before.weight + static_cast<double>(rates.learning_rate) * after.velocity) * kRounding;
  return after;
}

bool within_limit(const UpdateBounds& bounds) {
  return bounds.weight <= kLargestWeight && bounds.velocity <= kLargestWeight;
}

}  // namespace

bool update_stays_finite(const Plan& plan, const Buffers& buffers, const SgdRates& rates, UpdateBounds* bounds) {
  const double gradient = largest_of_field(plan, buffers, Field::kGradient);
  if (bounds->weight >= 0) {
    const UpdateBounds after = after_update(*bounds, gradient, rates);
    if (within_limit(after)) {
      *bounds = after;
      return true;
    }
  }
  // Not known, or grown past the limit over many steps: measure.
  UpdateBounds exact;
  exact.weight = largest_of_field(plan, buffers, Field::kValue);
  exact.velocity = largest_of_field(plan, buffers, Field::kVelocity);
  *bounds = after_update(exact, gradient, rates);
  return within_limit(*bounds);
}

void apply_update(const Plan& plan, const Buffers& buffers, const SgdRates& rates) {
  sgd(plan, buffers, rates.learning_rate, rates.momentum, rates.weight_decay);
}

}  // namespace edgecl
