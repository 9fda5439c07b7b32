// The Page-Hinkley recursion in double precision: additions, one division, no library calls, so the same everywhere.
// Never here: thresholds.
#include "runtime/learn/sparsity/drift.h"

namespace edgecl {

bool drift_alarm(DriftDetector* detector, float value, float delta, float threshold) {
  DriftDetector& d = *detector;
  const double x = static_cast<double>(value);
  d.n++;
  d.mean += (x - d.mean) / static_cast<double>(d.n);
  d.sum += x - d.mean - static_cast<double>(delta);
  if (d.sum < d.least) d.least = d.sum;
  if (d.n < kDriftWarmup || d.sum - d.least <= static_cast<double>(threshold)) return false;
  d = DriftDetector();
  return true;
}

}  // namespace edgecl
