// The functions of edgecl_kernels for layers with weights: dense and sparse convolutions and linear layers.
// Never here: other kernels, and their registration (module.cpp).
#ifndef EDGECL_TOOLS_KERNELS_MODULE_WEIGHTS_H_
#define EDGECL_TOOLS_KERNELS_MODULE_WEIGHTS_H_

#include "tools/kernels_module/operands.h"

namespace edgecl::binding {

// --- dense convolution and linear ---

inline void require_channels(const Tensor& x, int64_t channels, const ConvShape& s) {
  if (x.channels != channels)
    refuse("x with weight.shape[1] * groups = " + std::to_string(channels) + " channels", std::to_string(x.channels),
           "correct x, weight or groups");
  if (x.channels % s.groups != 0) refuse("channels divisible by groups", std::to_string(x.channels), "correct groups");
}

inline FloatArray conv_forward(const FloatArray& x, const FloatArray& weight, const OptionalFloats& bias,
                               const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(weight, "weight", {-1, -1, -1, -1});
  const int64_t out = weight.shape(0);
  ConvForwardArgs a = {
      m.pack(x, "x"), {}, m.copy(weight), m.vector(bias, "bias", out), o.window(weight.shape(2), weight.shape(3), true),
      o.activation()};
  require_channels(a.x, weight.shape(1) * a.shape.groups, a.shape);
  if (out % a.shape.groups != 0)
    refuse("output channels divisible by groups", std::to_string(out), "correct weight or groups");
  a.y = m.tensor(a.x.rows(), out, output_height(a.x, a.shape), output_width(a.x, a.shape));
  EDGECL_RUN(o, conv_forward, a);
  return unpack(a.y);
}

// Checks dy against the output that an input of this extent has.
inline void require_output(const Tensor& x, const Tensor& dy, int64_t channels, const ConvShape& s) {
  if (dy.rows() != x.rows() || dy.channels != channels || dy.height != output_height(x, s) ||
      dy.width != output_width(x, s))
    refuse("dy of " + std::to_string(x.rows()) + " rows, " + std::to_string(channels) + " channels, " +
               std::to_string(output_height(x, s)) + "x" + std::to_string(output_width(x, s)),
           Memory::describe(dy), "pass the gradient of this layer's output");
}

inline FloatArray conv_backward_data(const FloatArray& dy, const FloatArray& weight, std::pair<int, int> input_size,
                                     const OptionalFloats& add_to, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(weight, "weight", {-1, -1, -1, -1});
  ConvBackwardDataArgs a = {
      m.pack(dy, "dy"), {}, m.copy(weight), o.window(weight.shape(2), weight.shape(3), true), add_to.has_value()};
  a.dx = m.tensor(a.dy.rows(), weight.shape(1) * a.shape.groups, input_size.first, input_size.second);
  require_output(a.dx, a.dy, weight.shape(0), a.shape);
  if (add_to) a.dx = m.pack_like(*add_to, "add_to", a.dx);
  EDGECL_RUN(o, conv_backward_data, a);
  return unpack(a.dx);
}

inline std::pair<FloatArray, FloatArray> conv_backward_weight(const FloatArray& x, const FloatArray& dy,
                                                              std::pair<int, int> kernel, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  ConvBackwardWeightArgs a = {m.pack(x, "x"), m.pack(dy, "dy"), nullptr, nullptr,
                              o.window(kernel.first, kernel.second, true)};
  require_output(a.x, a.dy, a.dy.channels, a.shape);
  if (a.x.channels % a.shape.groups != 0 || a.dy.channels % a.shape.groups != 0)
    refuse("channels divisible by groups", std::to_string(a.x.channels) + " and " + std::to_string(a.dy.channels),
           "correct groups");
  const std::vector<py::ssize_t> shape = {a.dy.channels, a.x.channels / a.shape.groups, kernel.first, kernel.second};
  a.dweight = m.floats(shape[0] * shape[1] * shape[2] * shape[3]);
  a.dbias = m.floats(shape[0]);
  EDGECL_RUN(o, conv_backward_weight, a);
  return {to_array(a.dweight, shape), to_array(a.dbias, {shape[0]})};
}

inline FloatArray linear_forward(const FloatArray& x, const FloatArray& weight, const OptionalFloats& bias,
                                 const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(x, "x", {-1, -1});
  require_shape(weight, "weight", {x.shape(1), -1});
  const LinearForwardArgs a = {m.pack(x, "x"), m.tensor(x.shape(0), weight.shape(1), 1, 1), m.copy(weight),
                               m.vector(bias, "bias", weight.shape(1)), o.activation()};
  EDGECL_RUN(o, linear_forward, a);
  return unpack(a.y, true);
}

inline FloatArray linear_backward_data(const FloatArray& dy, const FloatArray& weight, const OptionalFloats& add_to,
                                       const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(dy, "dy", {-1, -1});
  require_shape(weight, "weight", {-1, dy.shape(1)});
  LinearBackwardDataArgs a = {m.pack(dy, "dy"), m.tensor(dy.shape(0), weight.shape(0), 1, 1), m.copy(weight),
                              add_to.has_value()};
  if (add_to) a.dx = m.pack_like(*add_to, "add_to", a.dx);
  EDGECL_RUN(o, linear_backward_data, a);
  return unpack(a.dx, true);
}

inline std::pair<FloatArray, FloatArray> linear_backward_weight(const FloatArray& x, const FloatArray& dy,
                                                                const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(x, "x", {-1, -1});
  require_shape(dy, "dy", {x.shape(0), -1});
  const int64_t in = x.shape(1), out = dy.shape(1);
  const LinearBackwardWeightArgs a = {m.pack(x, "x"), m.pack(dy, "dy"), m.floats(in * out), m.floats(out)};
  EDGECL_RUN(o, linear_backward_weight, a);
  return {to_array(a.dweight, {in, out}), to_array(a.dbias, {out})};
}

// --- sparse convolution and linear: a dense weight and a boolean pattern of the same shape ---

inline FloatArray sparse_conv_forward(const FloatArray& x, const FloatArray& weight, const BoolArray& pattern,
                                      const OptionalFloats& bias, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(weight, "weight", {-1, x.ndim() > 1 ? x.shape(1) : -1, -1, -1});
  const SparseWeight w(m, pattern, &weight);
  SparseConvForwardArgs a = {m.pack(x, "x"),
                             {},
                             w.pattern,
                             w.value,
                             m.vector(bias, "bias", weight.shape(0)),
                             o.window(weight.shape(2), weight.shape(3), false),
                             o.activation()};
  a.y = m.tensor(a.x.rows(), weight.shape(0), output_height(a.x, a.shape), output_width(a.x, a.shape));
  EDGECL_RUN(o, sparse_conv_forward, a);
  return unpack(a.y);
}

inline FloatArray sparse_conv_backward_data(const FloatArray& dy, const FloatArray& weight, const BoolArray& pattern,
                                            std::pair<int, int> input_size, const OptionalFloats& add_to,
                                            const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(weight, "weight", {-1, -1, -1, -1});
  const SparseWeight w(m, pattern, &weight);
  SparseConvBackwardDataArgs a = {
      m.pack(dy, "dy"),  {}, w.transposed, w.value_transposed, o.window(weight.shape(2), weight.shape(3), false),
      add_to.has_value()};
  a.dx = m.tensor(a.dy.rows(), weight.shape(1), input_size.first, input_size.second);
  require_output(a.dx, a.dy, weight.shape(0), a.shape);
  if (add_to) a.dx = m.pack_like(*add_to, "add_to", a.dx);
  EDGECL_RUN(o, sparse_conv_backward_data, a);
  return unpack(a.dx);
}

inline std::pair<FloatArray, FloatArray> sparse_conv_backward_weight(const FloatArray& x, const FloatArray& dy,
                                                                     const BoolArray& pattern,
                                                                     const std::optional<BoolArray>& selected,
                                                                     const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(pattern, "pattern", {-1, x.ndim() > 1 ? x.shape(1) : -1, -1, -1});
  const SparseWeight w(m, pattern, nullptr);
  SparseConvBackwardWeightArgs a = {m.pack(x, "x"),
                                    m.pack(dy, "dy"),
                                    w.pattern,
                                    w.selection(m, selected),
                                    m.floats(w.pattern.nnz),
                                    m.floats(w.pattern.rows),
                                    o.window(pattern.shape(2), pattern.shape(3), false)};
  require_output(a.x, a.dy, w.pattern.rows, a.shape);
  EDGECL_RUN(o, sparse_conv_backward_weight, a);
  return {w.flat_order(a.dvalue), to_array(a.dbias, {w.pattern.rows})};
}

inline FloatArray sparse_linear_forward(const FloatArray& x, const FloatArray& weight, const BoolArray& pattern,
                                        const OptionalFloats& bias, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(x, "x", {-1, -1});
  require_shape(weight, "weight", {-1, x.shape(1)});
  const SparseWeight w(m, pattern, &weight);
  const SparseLinearForwardArgs a = {m.pack(x, "x"), m.tensor(x.shape(0), weight.shape(0), 1, 1), w.pattern,
                                     w.value,        m.vector(bias, "bias", weight.shape(0)),     o.activation()};
  EDGECL_RUN(o, sparse_linear_forward, a);
  return unpack(a.y, true);
}

inline FloatArray sparse_linear_backward_data(const FloatArray& dy, const FloatArray& weight, const BoolArray& pattern,
                                              const OptionalFloats& add_to, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(dy, "dy", {-1, -1});
  require_shape(weight, "weight", {dy.shape(1), -1});
  const SparseWeight w(m, pattern, &weight);
  SparseLinearBackwardDataArgs a = {m.pack(dy, "dy"), m.tensor(dy.shape(0), weight.shape(1), 1, 1), w.transposed,
                                    w.value_transposed, add_to.has_value()};
  if (add_to) a.dx = m.pack_like(*add_to, "add_to", a.dx);
  EDGECL_RUN(o, sparse_linear_backward_data, a);
  return unpack(a.dx, true);
}

inline std::pair<FloatArray, FloatArray> sparse_linear_backward_weight(const FloatArray& x, const FloatArray& dy,
                                                                       const BoolArray& pattern,
                                                                       const std::optional<BoolArray>& selected,
                                                                       const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(x, "x", {-1, -1});
  require_shape(dy, "dy", {x.shape(0), -1});
  require_shape(pattern, "pattern", {dy.shape(1), x.shape(1)});
  const SparseWeight w(m, pattern, nullptr);
  const SparseLinearBackwardWeightArgs a = {
      m.pack(x, "x"),           m.pack(dy, "dy"),        w.pattern,
      w.selection(m, selected), m.floats(w.pattern.nnz), m.floats(w.pattern.rows)};
  EDGECL_RUN(o, sparse_linear_backward_weight, a);
  return {w.flat_order(a.dvalue), to_array(a.dbias, {w.pattern.rows})};
}

}  // namespace edgecl::binding

#endif  // EDGECL_TOOLS_KERNELS_MODULE_WEIGHTS_H_
