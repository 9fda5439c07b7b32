// Samples that a caller hands in, their check, and their way into the first tensor.
// Never here: labels, replay.
#ifndef EDGECL_RUNTIME_LEARN_BATCH_H_
#define EDGECL_RUNTIME_LEARN_BATCH_H_

#include <stdint.h>

#include "runtime/core/status.h"
#include "runtime/learn/session.h"

namespace edgecl {

// n consecutive raw samples of `elements` numbers each, in the bundle's input dtype.
struct Batch {
  uint32_t dtype;  // format::InputDtype
  uint32_t n;
  const void* data;
  uint64_t elements;
  const float* weights;  // [n] of a learn step's cross-entropy; null: all 1
  const void* sample(const Session& session, uint32_t row) const {
    return static_cast<const uint8_t*>(data) + row * session.sample_bytes;
  }
};

// Dtype (E_DTYPE), element count (E_SHAPE), at least one row (E_ARGUMENT), every float finite (E_NUMERIC, naming the
// sample).
Status check_batch(const Session& session, const Batch& batch);

// Normalises `rows` raw samples into tensor 0 of a pass. `augmented`: with the crop and flip parameters of the step.
void load_input(const Session& session, const Net& net, const void* const* samples, uint32_t rows, Mode mode,
                bool augmented);

// Largest normalised magnitude that a learn step takes. A finite but absurd sample (1e38) might pass one step by luck
// and then sit in the replay buffer, where each step that draws it would be refused, for ever.
constexpr float kLargestInput = 1e12f;
// The same rule for one raw sample at any address, of which a crop shows a part only.
bool sample_within_limit(const Plan& plan, const void* sample);
// E_NUMERIC when tensor 0, loaded for a learn step of `rows` rows, goes beyond it.
Status check_loaded_input(const Session& session, uint32_t rows, Mode mode);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_BATCH_H_
