// Stochastic gradient descent with momentum and weight decay, PyTorch's form: scalar reference.
// Never here: learning-rate schedules and the choice of the weights that are updated.
#include "kernels/reference/common.h"

namespace edgecl::reference {

void sgd_update(const SgdArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  for (int64_t i = s.begin; i < s.end; i++) {
    float step = fused(a.weight_decay, a.weight[i], a.gradient[i]);
    if (a.velocity) {
      step = fused(a.momentum, a.velocity[i], step);
      a.velocity[i] = step;
    }
    a.weight[i] = fused(-a.lr, step, a.weight[i]);
  }
}

}  // namespace edgecl::reference
