// edgecl_kernels: layer normalisation and products of two tensors as functions of numpy arrays.
// Never here: arithmetic of its own.
#include "tools/kernels_module/tokens.h"

#include "tools/kernels_module/arrays.h"

namespace edgecl::binding {
namespace {

py::tuple layer_norm_forward(const FloatArray& x, const OptionalFloats& gamma, const OptionalFloats& beta, float eps,
                             bool centred, const py::kwargs& kwargs) {
  Memory m;
  LayerNormForwardArgs a = {};
  a.x = m.pack(x, "x");
  a.y = m.tensor(a.x.rows(), a.x.channels, a.x.height, a.x.width);
  a.gamma = m.vector(gamma, "gamma", a.x.channels);
  a.beta = m.vector(beta, "beta", a.x.channels);
  a.eps = eps;
  a.centred = centred;
  const Tensor mean = m.tensor(a.x.rows(), 1, a.x.height, a.x.width),
               rstd = m.tensor(a.x.rows(), 1, a.x.height, a.x.width);
  a.mean = mean.data;
  a.rstd = rstd.data;
  EDGECL_RUN(Attributes(kwargs), layer_norm_forward, a);
  return py::make_tuple(unpack(a.y), unpack(mean), unpack(rstd));
}

py::tuple layer_norm_backward(const FloatArray& x, const FloatArray& dy, const OptionalFloats& gamma,
                              const FloatArray& mean, const FloatArray& rstd, bool centred, const py::kwargs& kwargs) {
  Memory m;
  LayerNormBackwardDataArgs data = {};
  data.x = m.pack(x, "x");
  const int64_t channels = data.x.channels;
  const Tensor column = m.tensor(data.x.rows(), 1, data.x.height, data.x.width);
  data.dy = m.pack_like(dy, "dy", data.x);
  data.dx = m.tensor(data.x.rows(), channels, data.x.height, data.x.width);
  data.gamma = m.vector(gamma, "gamma", channels);
  data.mean = m.pack_like(mean, "mean", column).data;
  data.rstd = m.pack_like(rstd, "rstd", column).data;
  data.centred = centred;
  EDGECL_RUN(Attributes(kwargs), layer_norm_backward_data, data);
  const LayerNormBackwardWeightArgs weights = {
      data.x, data.dy, data.mean, data.rstd, centred, m.floats(channels), m.floats(channels)};
  EDGECL_RUN(Attributes(kwargs), layer_norm_backward_weight, weights);
  return py::make_tuple(unpack(data.dx), to_array(weights.dgamma, {channels}), to_array(weights.dbeta, {channels}));
}

FloatArray matmul(const FloatArray& a, const FloatArray& b, bool transpose_a, bool transpose_b, float scale,
                  const py::kwargs& kwargs) {
  Memory m;
  const Tensor left = m.pack(a, "a"), right = m.pack(b, "b");
  const int32_t rows = transpose_a ? left.width : left.height, terms = transpose_a ? left.height : left.width,
                columns = transpose_b ? right.height : right.width;
  if (right.rows() != left.rows() || right.channels != left.channels ||
      terms != (transpose_b ? right.width : right.height))
    refuse("b whose matrices can be multiplied with those of " + Memory::describe(left), Memory::describe(right),
           "pass (rows, matrices, M, K) and (rows, matrices, K, N)");
  // Three batches, rows, columns, terms.
  const int32_t size[] = {1, 1, left.channels, rows, columns, terms};
  const int32_t of_a[] = {0, 0, rows * terms, transpose_a ? 1 : terms, 0, transpose_a ? rows : 1};
  const int32_t of_b[] = {0, 0, terms * columns, 0, transpose_b ? terms : 1, transpose_b ? 1 : columns};
  const int32_t of_y[] = {0, 0, rows * columns, columns, 1, 0};
  const MatmulArgs args = {
      left, right, m.tensor(left.rows(), left.channels, rows, columns), size, of_a, of_b, of_y, 0, 0, 0, scale, false};
  EDGECL_RUN(Attributes(kwargs), matmul, args);
  return unpack(args.y);
}

}  // namespace

void add_tokens(py::module_& m) {
  using namespace py::literals;
  m.def("layer_norm_forward", &layer_norm_forward, "x"_a, "gamma"_a = py::none(), "beta"_a = py::none(),
        "eps"_a = 1e-5f, "centred"_a = true);
  m.def("layer_norm_backward", &layer_norm_backward, "x"_a, "dy"_a, "gamma"_a, "mean"_a, "rstd"_a, "centred"_a = true);
  m.def("matmul", &matmul, "a"_a, "b"_a, "transpose_a"_a = false, "transpose_b"_a = false, "scale"_a = 1.0f);
}

}  // namespace edgecl::binding
