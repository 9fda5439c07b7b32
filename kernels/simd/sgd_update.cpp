// Stochastic gradient descent with momentum and weight decay, PyTorch's form. Memory-bound: one pass over three arrays.
// Never here: learning-rate schedules and the choice of the weights that are updated.
#include "kernels/simd/pointwise.h"

namespace edgecl::EDGECL_LEVEL {

void sgd_update(const SgdArgs& a, int part, int n_parts, void*) {
  int64_t begin, end;
  flat_share(a.n, part, n_parts, &begin, &end);
  const vec rate = vset(-a.lr), momentum = vset(a.momentum), decay = vset(a.weight_decay);
  float *weight = a.weight, *velocity = a.velocity;
  const float* gradient = a.gradient;
  if (!velocity) {
    store_flat(weight, begin, end, [&](int64_t i) EDGECL_INLINE_LAMBDA {
      const vec w = vload(weight + i);
      return vfma(rate, vfma(decay, w, vload(gradient + i)), w);
    });
    return;
  }
  for_flat(begin, end, [&](int64_t i, auto store) EDGECL_INLINE_LAMBDA {
    const vec w = vload(weight + i);
    const vec v = vfma(momentum, vload(velocity + i), vfma(decay, w, vload(gradient + i)));
    store(velocity + i, v);
    store(weight + i, vfma(rate, v, w));
  });
}

}  // namespace edgecl::EDGECL_LEVEL
