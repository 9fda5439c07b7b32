// Drift signal: an alarm when the loss of the stream rises for good.
// Never here: what happens at an alarm.
#ifndef EDGECL_RUNTIME_LEARN_SPARSITY_DRIFT_H_
#define EDGECL_RUNTIME_LEARN_SPARSITY_DRIFT_H_

#include <stdint.h>

namespace edgecl {

// Page-Hinkley test (Page 1954, "Continuous inspection schemes"): with x_bar the running mean, U_n = sum of (x_i -
// x_bar_i - delta), alarm when U_n - min U exceeds the threshold. All zero: no value seen.
struct DriftDetector {
  uint64_t n = 0;
  double mean = 0, sum = 0, least = 0;
};
constexpr uint64_t kDriftWarmup = 30;  // values before the first alarm may come

// Takes the next value (finite); true = alarm, and the detector begins anew.
bool drift_alarm(DriftDetector* detector, float value, float delta, float threshold);

}  // namespace edgecl

#endif  // EDGECL_RUNTIME_LEARN_SPARSITY_DRIFT_H_
