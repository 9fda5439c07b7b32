// The update of a step: stochastic gradient descent, and the proof beforehand that it keeps every weight finite.
// Never here: gradients, learning-rate schedules.
#ifndef EDGECL_RUNTIME_LEARN_OPTIMIZER_H_
#define EDGECL_RUNTIME_LEARN_OPTIMIZER_H_

#include "runtime/core/memory.h"

namespace edgecl {

// Upper bounds of |weight| and |velocity| over all trainable parameters; negative: not known. They only save a scan of
// the weights in each step: whether a step is refused never depends on them, so they are not part of the state.
struct UpdateBounds {
  double weight = -1, velocity = -1;
};

// PyTorch's SGD: g += weight_decay * w; v = momentum * v + g; w -= learning_rate * v.
struct SgdRates {
  float learning_rate, momentum, weight_decay;
};

// Largest magnitude that a weight or velocity may have after an update. No trained network comes near it; one absurd
// sample (1e38, say) would go beyond it, and a network that took such a step would never give a finite loss again.
constexpr double kLargestWeight = static_cast<double>(format::kMaxWeight);

// True when all gradients and the statistics of a batch of so many rows are finite, and the update of these gradients
// leaves every weight and velocity at most kLargestWeight, judged from the largest gradient, weight and velocity
// together (so it may refuse a little early). Then `bounds` are those of after the update. Reads the gradients once, over
// all threads; weights and velocities only when the bounds are not known or no longer suffice.
bool update_is_sound(const Net& net, uint32_t rows, const SgdRates& rates, UpdateBounds* bounds);

// The update itself.
void apply_update(const Net& net, const SgdRates& rates);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_OPTIMIZER_H_
