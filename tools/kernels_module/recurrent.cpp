// edgecl_kernels: recurrent layers as functions of numpy arrays.
// Never here: arithmetic of its own.
#include "tools/kernels_module/recurrent.h"

#include "tools/kernels_module/arrays.h"

namespace edgecl::binding {
namespace {

RecurrentShape shape_of(const std::string& cell, bool reverse) {
  const char* const names[] = {"rnn_tanh", "rnn_relu", "gru", "gru_linear", "lstm"};
  for (int i = 0; i < kRecurrentCells; i++)
    if (cell == names[i]) return {static_cast<RecurrentCell>(i), reverse};
  refuse("cell of rnn_tanh, rnn_relu, gru, gru_linear, lstm", cell, "correct the name");
}

// The arguments that both passes share; biases zero where there are none.
struct Layer {
  RecurrentShape shape;
  Tensor x;
  int64_t hidden, columns, kept;
  const float *weight, *weight_r;

  Layer(Memory& m, const FloatArray& sequence, const FloatArray& weight_of_x, const FloatArray& weight_of_h,
        const std::string& cell, bool reverse)
      : shape(shape_of(cell, reverse)),
        x(m.pack(sequence, "x")),
        hidden(weight_of_h.ndim() == 2 ? weight_of_h.shape(0) : 0) {
    if (x.height != 1) refuse("x of shape (rows, features, 1, steps)", shape_text(sequence), "reshape the array");
    columns = shape.gates() * hidden;
    kept = static_cast<int64_t>(x.rows()) * x.width * shape.kept() * hidden;
    require_shape(weight_of_h, "weight_r", {hidden, columns});
    require_shape(weight_of_x, "weight", {x.channels, columns});
    weight = m.copy(weight_of_x);
    weight_r = m.copy(weight_of_h);
  }
};

RecurrentForwardArgs forward_args(Memory& m, const Layer& l, const OptionalFloats& bias, const OptionalFloats& bias_r) {
  if (bias.has_value() != bias_r.has_value())
    refuse("bias and bias_r together, or neither", "one of them", "pass zeros for the other");
  const float *of_x = m.vector(bias, "bias", l.columns), *of_h = m.vector(bias_r, "bias_r", l.columns);
  return {l.x, m.tensor(l.x.rows(), l.hidden, 1, l.x.width), l.weight, l.weight_r, of_x, of_h, l.shape, nullptr};
}

FloatArray recurrent_forward(const FloatArray& x, const FloatArray& weight, const FloatArray& weight_r,
                             const OptionalFloats& bias, const OptionalFloats& bias_r, const std::string& cell,
                             bool reverse, const py::kwargs& kwargs) {
  Memory m;
  const RecurrentForwardArgs a = forward_args(m, Layer(m, x, weight, weight_r, cell, reverse), bias, bias_r);
  EDGECL_RUN(Attributes(kwargs), recurrent_forward, a);
  return unpack(a.y);
}

// Runs the forward pass, which keeps what the three kernels behind it read.
py::tuple recurrent_backward(const FloatArray& x, const FloatArray& dy, const FloatArray& weight,
                             const FloatArray& weight_r, const OptionalFloats& bias, const OptionalFloats& bias_r,
                             const std::string& cell, bool reverse, const py::kwargs& kwargs) {
  Memory m;
  const Layer l(m, x, weight, weight_r, cell, reverse);
  RecurrentForwardArgs forward = forward_args(m, l, bias, bias_r);
  forward.kept = m.floats(l.kept);
  EDGECL_RUN(Attributes(kwargs), recurrent_forward, forward);
  const RecurrentStepsBackwardArgs steps = {forward.y, m.pack_like(dy, "dy", forward.y), l.weight_r, l.shape,
                                            forward.kept};
  EDGECL_RUN(Attributes(kwargs), recurrent_steps_backward, steps);
  const RecurrentDataBackwardArgs data = {
      forward.y, m.tensor(l.x.rows(), l.x.channels, 1, l.x.width), l.weight, l.shape, forward.kept, false};
  EDGECL_RUN(Attributes(kwargs), recurrent_data_backward, data);
  const RecurrentWeightBackwardArgs of_weights = {l.x,
                                                  forward.y,
                                                  l.shape,
                                                  forward.kept,
                                                  m.floats(l.x.channels * l.columns),
                                                  m.floats(l.hidden * l.columns),
                                                  m.floats(l.columns),
                                                  m.floats(l.columns)};
  EDGECL_RUN(Attributes(kwargs), recurrent_weight_backward, of_weights);
  return py::make_tuple(unpack(data.dx), to_array(of_weights.dweight, {l.x.channels, l.columns}),
                        to_array(of_weights.dweight_r, {l.hidden, l.columns}), to_array(of_weights.dbias, {l.columns}),
                        to_array(of_weights.dbias_r, {l.columns}));
}

}  // namespace

void add_recurrent(py::module_& m) {
  using namespace py::literals;
  m.def("recurrent_forward", &recurrent_forward, "x"_a, "weight"_a, "weight_r"_a, "bias"_a = py::none(),
        "bias_r"_a = py::none(), "cell"_a = "lstm", "reverse"_a = false);
  m.def("recurrent_backward", &recurrent_backward, "x"_a, "dy"_a, "weight"_a, "weight_r"_a, "bias"_a = py::none(),
        "bias_r"_a = py::none(), "cell"_a = "lstm", "reverse"_a = false);
}

}  // namespace edgecl::binding
