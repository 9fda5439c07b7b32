// Pointwise activations and their gradients: scalar reference.
// Never here: activations fused into other kernels (common.h), and the formulas (kernels/activation_formulas.h).
#include "kernels/built.h"
#include "kernels/reference/common.h"
#include "kernels/scalar_math.h"

namespace edgecl::reference {
namespace {

float value(const ActivationSpec& a, float x) {
  switch (a.kind) {
#define EDGECL_VALUE(constant, number, name)                                    \
  case Activation::constant:                                                    \
    if constexpr (is_built(Activation::constant))                               \
      return activation_value<ScalarMath, Activation::constant>(x, a.lo, a.hi); \
    break;
    EDGECL_ACTIVATION_LIST(EDGECL_VALUE)
#undef EDGECL_VALUE
  }
  return x;
}

float gradient(const ActivationSpec& a, float s, float dy) {
  switch (a.kind) {
#define EDGECL_GRADIENT(constant, number, name)                                        \
  case Activation::constant:                                                           \
    if constexpr (is_built(Activation::constant))                                      \
      return activation_gradient<ScalarMath, Activation::constant>(s, dy, a.lo, a.hi); \
    break;
    EDGECL_ACTIVATION_LIST(EDGECL_GRADIENT)
#undef EDGECL_GRADIENT
  }
  return dy;
}

}  // namespace

void activation_forward(const ActivationForwardArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  for (int64_t i = s.begin; i < s.end; i++) a.y[i] = value(a.activation, a.x[i]);
}

void activation_backward(const ActivationBackwardArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  const float* source = activation_gradient_reads_output(a.activation.kind) ? a.y : a.x;
  if (a.activation.kind == Activation::kNone) source = a.dy;
  for (int64_t i = s.begin; i < s.end; i++) {
    const float r = gradient(a.activation, source[i], a.dy[i]);
    a.dx[i] = a.accumulate ? a.dx[i] + r : r;
  }
}

}  // namespace edgecl::reference
