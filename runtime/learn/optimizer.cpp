// Bounds of an update, and the update.
// Never here: the arithmetic of one weight (kernel sgd_update).
#include "runtime/learn/optimizer.h"

#include <string.h>

#include "runtime/core/weights.h"
#include "runtime/learn/config.h"
#include "runtime/learn/magnitude.h"

namespace edgecl {
namespace {

enum class Field { kValue, kGradient, kVelocity };

const float* field_of(const ParamWeights& weights, const ParamWork& work, Field field) {
  return field == Field::kValue ? weights.own : field == Field::kGradient ? work.gradient : weights.velocity;
}

// Calls visit(x, n, part) for slices of that field of all parameters that learn: `part` names the thread. What rests
// has no gradient, but its values count.
template <class Visit>
void each_slice(const Net& net, Field field, const Visit& visit) {
  const uint32_t n_parts = net.env.parallel.n_threads;
  auto body = [&](uint32_t part) {
    for (uint32_t p = 0; p < net.plan.params.n; p++) {
      const ParamWork& work = net.work.params[p];
      const float* x = work.gradient ? field_of(net.weights.params[p], work, field) : nullptr;
      if (x == nullptr || (field == Field::kGradient && work.role == Role::kRests)) continue;
      const uint64_t n = net.weights.params[p].n, begin = n * part / n_parts, end = n * (part + 1) / n_parts;
      visit(x + begin, end - begin, part);
    }
  };
  net.env.parallel.run(n_parts, body);
}

// A maximum has no order, so the cut into slices changes nothing.
double largest_of_field(const Net& net, Field field) {
  float of_part[kMaxThreads] = {};
  each_slice(net, field, [&](const float* x, uint64_t n, uint32_t part) {
    const float largest = largest_magnitude(x, n);
    if (largest > of_part[part]) of_part[part] = largest;
  });
  float largest = 0;
  for (const float x : of_part) largest = x > largest ? x : largest;
  return static_cast<double>(largest);
}

// Gradients of a run that goes well stay far below this; then one cheap pass is all that a step pays.
constexpr float kUsualGradient = 1e3f;

// True when every |x| < 2: no pattern of bits has the top bit of the exponent. Vectors of 16 bytes, which every
// supported CPU has: this pass over all gradients would else be a tenth of a dense step of few rows.
bool below_two(const float* x, uint64_t n) {
  typedef uint32_t Words __attribute__((vector_size(16)));
  const auto words = [x](uint64_t i) {
    Words w;
    memcpy(&w, x + i, sizeof w);
    return w;
  };
  Words a = {}, b = {}, c = {}, d = {};
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    a |= words(i);
    b |= words(i + 4);
    c |= words(i + 8);
    d |= words(i + 12);
  }
  a |= b | c | d;
  uint32_t all = a[0] | a[1] | a[2] | a[3];
  for (; i < n; i++) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    all |= bits;
  }
  return (all >> 30 & 1) == 0;
}

bool gradients_usual(const Net& net) {
  bool beyond[kMaxThreads] = {};
  each_slice(net, Field::kGradient, [&](const float* x, uint64_t n, uint32_t part) {
    if (!beyond[part] && !below_two(x, n) && !magnitudes_within(x, n, kUsualGradient)) beyond[part] = true;
  });
  for (const bool b : beyond) {
    if (b) return false;
  }
  return true;
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

bool update_is_sound(const Net& net, uint32_t rows, const SgdRates& rates, UpdateBounds* bounds) {
  if (!statistics_finite(net, rows)) return false;
  if (bounds->weight >= 0) {
    const UpdateBounds after = after_update(*bounds, static_cast<double>(kUsualGradient), rates);
    if (within_limit(after) && gradients_usual(net)) {
      *bounds = after;
      return true;
    }
  }
  // An unusual gradient, or bounds that are not known or have grown past the limit over very many steps: measure.
  if (!gradients_finite(net)) return false;
  UpdateBounds exact;
  exact.weight = largest_of_field(net, Field::kValue);
  exact.velocity = largest_of_field(net, Field::kVelocity);
  *bounds = after_update(exact, largest_of_field(net, Field::kGradient), rates);
  return within_limit(*bounds);
}

void apply_update(const Net& net, const SgdRates& rates) {
  sgd(net, rates.learning_rate, rates.momentum, rates.weight_decay);
}

}  // namespace edgecl
