// Pointwise activations and their gradients: scalar reference.
// Never here: activations fused into other kernels (common.h holds that formula).
#include "kernels/reference/common.h"

namespace edgecl::reference {
namespace {

float gradient(const ActivationBackwardArgs& a, int64_t i) {
  const float dy = a.dy[i];
  switch (a.activation.kind) {
    case Activation::kNone:
    case Activation::kRelu:
    case Activation::kClip:
      return through_activation(a.activation, a.y ? a.y[i] : 0.0f, dy);
    case Activation::kHardSwish: {
      const float x = a.x[i];
      if (!(x > -3.0f)) return 0.0f;
      return x < 3.0f ? dy * fused(x, 1.0f / 3.0f, 0.5f) : dy;
    }
    case Activation::kSigmoid:
      return dy * (a.y[i] * (1.0f - a.y[i]));
    case Activation::kHardSigmoid:
      return 0.0f < a.y[i] && a.y[i] < 1.0f ? dy * a.activation.lo : 0.0f;
  }
  return dy;
}

}  // namespace

void activation_forward(const ActivationForwardArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  for (int64_t i = s.begin; i < s.end; i++) a.y[i] = activate(a.activation, a.x[i]);
}

void activation_backward(const ActivationBackwardArgs& a, int part, int n_parts, void*) {
  const Share s = share_of(a.n, part, n_parts);
  for (int64_t i = s.begin; i < s.end; i++) {
    const float r = gradient(a, i);
    a.dx[i] = a.accumulate ? a.dx[i] + r : r;
  }
}

}  // namespace edgecl::reference
