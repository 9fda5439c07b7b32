// Scatter around means from second moments and sums: scalar reference.
// Never here: shrinkage, and how weights follow from counts.
#include "kernels/plan/moments_plan.h"
#include "kernels/reference/common.h"

namespace edgecl::reference {

void moments_to_covariance(const MomentsToCovarianceArgs& a, int part, int n_parts, void*) {
  const plan::PanelShare mine = plan::panel_share(a.d, part, n_parts);
  for (int64_t panel = mine.begin; panel < mine.end; panel++) {
    for (int64_t i = panel * kPanelColumns; i < a.d; i++) {
      for (int64_t j = panel * kPanelColumns; j < (panel + 1) * kPanelColumns; j++) {
        const int64_t at = moments_at(i, j, a.d);
        if (j > i || j >= a.d) {
          a.covariance[at] = 0;
          continue;
        }
        double c = a.alpha * static_cast<double>(a.moments[at]);
        for (int64_t v = 0; v < a.k; v++) {
          const double right = a.weight[v] * static_cast<double>(a.sums[v * a.d + j]);
          c = fused(-static_cast<double>(a.sums[v * a.d + i]), right, c);
        }
        a.covariance[at] = i == j ? c + a.ridge : c;
      }
    }
  }
}

}  // namespace edgecl::reference
