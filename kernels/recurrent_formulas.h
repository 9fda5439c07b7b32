// One step of each recurrent cell and its gradient, one text for scalars and vectors.
// Never here: products with weights, loops; sigmoid and tanh (kernels/activation_formulas.h).
#ifndef EDGECL_KERNELS_RECURRENT_FORMULAS_H_
#define EDGECL_KERNELS_RECURRENT_FORMULAS_H_

#include "kernels/activation_formulas.h"

// M as in activation_formulas.h.
namespace edgecl {

#define EDGECL_FORMULA \
  template <class M>   \
  static inline __attribute__((always_inline))

EDGECL_FORMULA typename M::T sigmoid_gradient(typename M::T s, typename M::T dy) {
  return activation_gradient<M, Activation::kSigmoid>(s, dy, s, s);
}
EDGECL_FORMULA typename M::T tanh_gradient(typename M::T s, typename M::T dy) {
  return activation_gradient<M, Activation::kTanh>(s, dy, s, s);
}

EDGECL_FORMULA typename M::T rnn_step(bool relu, typename M::T a) {
  return relu ? activation_value<M, Activation::kRelu>(a, a, a) : M::tanh(a);
}
EDGECL_FORMULA typename M::T rnn_gradient(bool relu, typename M::T h, typename M::T dh) {
  return relu ? activation_gradient<M, Activation::kRelu>(h, dh, h, h) : tanh_gradient<M>(h, dh);
}

// The state after the step, of gates as values.
EDGECL_FORMULA typename M::T gru_state(typename M::T z, typename M::T n, typename M::T h) {
  return M::fma(z, h - n, n);
}
// Values of z, n and the state before become gradients of z's and n's sums.
EDGECL_FORMULA void gru_gradient(typename M::T& z, typename M::T& n, typename M::T h, typename M::T dh) {
  const typename M::T dz = sigmoid_gradient<M>(z, dh * (h - n));
  n = tanh_gradient<M>(n, dh * (M::set(1.0f) - z));
  z = dz;
}

// c after the step, of gates as values; h is o * tanh(c).
EDGECL_FORMULA typename M::T lstm_state(typename M::T i, typename M::T f, typename M::T g, typename M::T c) {
  return M::fma(f, c, i * g);
}
// Gates become gradients of their sums; returns the gradient of the state c before the step. dc: of the one after it.
EDGECL_FORMULA typename M::T lstm_gradient(typename M::T& i, typename M::T& o, typename M::T& f, typename M::T& g,
                                           typename M::T c, typename M::T c_before, typename M::T dh,
                                           typename M::T dc) {
  typedef typename M::T T;
  const T t = M::tanh(c);
  dc = M::fma(dh * o, M::set(1.0f) - t * t, dc);
  const T di = sigmoid_gradient<M>(i, dc * g), df = sigmoid_gradient<M>(f, dc * c_before), before = dc * f;
  o = sigmoid_gradient<M>(o, dh * t);
  g = tanh_gradient<M>(g, dc * i);
  i = di;
  f = df;
  return before;
}

#undef EDGECL_FORMULA

}  // namespace edgecl

#endif  // EDGECL_KERNELS_RECURRENT_FORMULAS_H_
