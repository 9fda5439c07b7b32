// Names of the random streams of a session: which words of the generator belong to which purpose.
// Never here: draws themselves.
#ifndef EDGECL_RUNTIME_LEARN_STREAMS_H_
#define EDGECL_RUNTIME_LEARN_STREAMS_H_

#include <stdint.h>

#include "runtime/core/rng.h"

namespace edgecl {

enum class Purpose : uint64_t {
  kDraw1 = 1,
  kDraw2 = 2,
  kAugment = 3,
  kReservoir = 4,
  kGrowth = 5,    // by change of structure and layer
  kTensors = 6,   // by task
  kRehearse = 7,  // by rehearsal step
  kRehearseAugment = 8,
  kRemember = 9,  // by rows that the buffer has seen
};

// Each step has its own stream for each purpose. So the random state of a session is its seed and its step counter, and
// a refused step leaves no trace: the next attempt draws the same words again. Steps stay below 2^56.
inline RandomStream step_stream(uint64_t seed, Purpose purpose, uint64_t step) {
  return RandomStream{seed, static_cast<uint64_t>(purpose) << 56 | step, 0};
}

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_STREAMS_H_
