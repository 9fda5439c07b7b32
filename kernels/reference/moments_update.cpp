// Second moments in 64-bit integers: scalar reference.
// Never here: sums of classes, and counts.
#include "kernels/plan/moments_plan.h"
#include "kernels/reference/common.h"

namespace edgecl::reference {

void moments_update(const MomentsUpdateArgs& a, int part, int n_parts, void*) {
  const plan::PanelShare mine = plan::panel_share(a.d, part, n_parts);
  for (int64_t j = mine.begin * kPanelColumns; j < mine.end * kPanelColumns && j < a.d; j++) {
    for (int64_t i = j; i < a.d; i++) {
      int64_t sum = 0;
      for (int64_t r = 0; r < a.n; r++) sum += int32_t{a.q[r * a.d + i]} * a.q[r * a.d + j];
      int64_t& moment = a.moments[moments_at(i, j, a.d)];
      moment = modular_sum(moment, a.subtract ? -sum : sum);
    }
  }
}

}  // namespace edgecl::reference
