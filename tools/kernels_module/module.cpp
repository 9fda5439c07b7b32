// edgecl_kernels: every kernel as a function of numpy arrays, at a chosen level and number of parts; for tests and
// researchers.
// Never here: sessions, bundles, state (edgecl._core), and arithmetic of its own.
#include <float.h>

#include "tools/kernels_module/hyperdimensional.h"
#include "tools/kernels_module/moments.h"
#include "tools/kernels_module/operands.h"
#include "tools/kernels_module/recurrent.h"
#include "tools/kernels_module/timing.h"
#include "tools/kernels_module/tokens.h"
#include "tools/kernels_module/weights.h"

namespace edgecl::binding {
namespace {

// --- normalisation ---

py::tuple batch_norm_forward(const FloatArray& x, const FloatArray& gamma, const FloatArray& beta,
                             const OptionalFloats& mean, const OptionalFloats& rstd, float eps,
                             const OptionalFloats& residual, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  BatchNormForwardArgs a = {};
  a.x = m.pack(x, "x");
  const int64_t c = a.x.channels;
  a.y = m.tensor(a.x.rows(), c, a.x.height, a.x.width);
  a.gamma = m.vector(gamma, "gamma", c);
  a.beta = m.vector(beta, "beta", c);
  if (mean.has_value() != rstd.has_value())
    refuse("mean and rstd together, or neither", "one of them", "pass both (frozen) or none (training)");
  a.mean = m.vector(mean, "mean", c);
  a.rstd = m.vector(rstd, "rstd", c);
  if (!mean) {
    a.batch_mean = m.floats(c);
    a.batch_rstd = m.floats(c);
    a.batch_var_unbiased = m.floats(c);
  }
  a.eps = eps;
  if (residual) a.residual = m.pack_like(*residual, "residual", a.x).data;
  a.activation = o.activation();
  EDGECL_RUN(o, batch_norm_forward, a);
  if (mean) return py::make_tuple(unpack(a.y), *mean, *rstd, py::none());
  return py::make_tuple(unpack(a.y), to_array(a.batch_mean, {c}), to_array(a.batch_rstd, {c}),
                        to_array(a.batch_var_unbiased, {c}));
}

py::tuple batch_norm_backward(const FloatArray& x, const FloatArray& y, const FloatArray& dy, const FloatArray& gamma,
                              const FloatArray& mean, const FloatArray& rstd, bool frozen, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  BatchNormBackwardArgs a = {};
  a.x = m.pack(x, "x");
  const int64_t c = a.x.channels;
  a.y = m.pack_like(y, "y", a.x);
  a.dy = m.pack_like(dy, "dy", a.x);
  a.dx = m.tensor(a.x.rows(), c, a.x.height, a.x.width);
  const Tensor dresidual = m.tensor(a.x.rows(), c, a.x.height, a.x.width);
  a.gamma = m.vector(gamma, "gamma", c);
  a.mean = m.vector(mean, "mean", c);
  a.rstd = m.vector(rstd, "rstd", c);
  a.dgamma = m.floats(c);
  a.dbeta = m.floats(c);
  a.frozen = frozen;
  a.dresidual = dresidual.data;
  a.activation = o.activation();
  EDGECL_RUN(o, batch_norm_backward, a);
  return py::make_tuple(unpack(a.dx), to_array(a.dgamma, {c}), to_array(a.dbeta, {c}), unpack(dresidual));
}

void require_groups(const Tensor& x, int n_groups) {
  if (n_groups < 1 || x.channels % n_groups != 0)
    refuse("n_groups that divides " + std::to_string(x.channels) + " channels", std::to_string(n_groups),
           "pass another number of groups");
}

py::tuple group_norm_forward(const FloatArray& x, const FloatArray& gamma, const FloatArray& beta, int n_groups,
                             float eps, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  GroupNormForwardArgs a = {};
  a.x = m.pack(x, "x");
  require_groups(a.x, n_groups);
  a.y = m.tensor(a.x.rows(), a.x.channels, a.x.height, a.x.width);
  a.gamma = m.vector(gamma, "gamma", a.x.channels);
  a.beta = m.vector(beta, "beta", a.x.channels);
  a.n_groups = n_groups;
  a.eps = eps;
  a.mean = m.floats(static_cast<int64_t>(n_groups) * a.x.rows());
  a.rstd = m.floats(static_cast<int64_t>(n_groups) * a.x.rows());
  a.activation = o.activation();
  EDGECL_RUN(o, group_norm_forward, a);
  return py::make_tuple(unpack(a.y), statistics_array(a.mean, a.x.rows(), n_groups),
                        statistics_array(a.rstd, a.x.rows(), n_groups));
}

py::tuple group_norm_backward(const FloatArray& x, const FloatArray& y, const FloatArray& dy, const FloatArray& gamma,
                              int n_groups, const FloatArray& mean, const FloatArray& rstd, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  GroupNormBackwardArgs a = {};
  a.x = m.pack(x, "x");
  require_groups(a.x, n_groups);
  a.y = m.pack_like(y, "y", a.x);
  a.dy = m.pack_like(dy, "dy", a.x);
  a.dx = m.tensor(a.x.rows(), a.x.channels, a.x.height, a.x.width);
  a.gamma = m.vector(gamma, "gamma", a.x.channels);
  a.n_groups = n_groups;
  a.mean = statistics_memory(m, mean, "mean", a.x.rows(), n_groups);
  a.rstd = statistics_memory(m, rstd, "rstd", a.x.rows(), n_groups);
  a.dgamma = m.floats(a.x.channels);
  a.dbeta = m.floats(a.x.channels);
  a.activation = o.activation();
  EDGECL_RUN(o, group_norm_backward, a);
  return py::make_tuple(unpack(a.dx), to_array(a.dgamma, {a.x.channels}), to_array(a.dbeta, {a.x.channels}));
}

void require_epsilon(float eps) {
  if (eps >= FLT_MIN && eps <= 1.0f) return;
  refuse("a normal number in (0, 1]", std::to_string(eps), "pass another eps");
}

FloatArray l2_normalize_forward(const FloatArray& x, float eps, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_epsilon(eps);
  L2NormalizeForwardArgs a = {m.pack(x, "x"), {}, eps};
  a.y = m.tensor(a.x.rows(), a.x.channels, a.x.height, a.x.width);
  EDGECL_RUN(o, l2_normalize_forward, a);
  return unpack(a.y, x.ndim() == 2);
}

FloatArray l2_normalize_backward(const FloatArray& x, const FloatArray& dy, float eps, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_epsilon(eps);
  L2NormalizeBackwardArgs a = {m.pack(x, "x"), {}, {}, eps, false};
  a.dy = m.pack_like(dy, "dy", a.x);
  a.dx = m.tensor(a.x.rows(), a.x.channels, a.x.height, a.x.width);
  EDGECL_RUN(o, l2_normalize_backward, a);
  return unpack(a.dx, x.ndim() == 2);
}

// --- pointwise ---

FloatArray activation_forward(const FloatArray& x, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const ActivationForwardArgs a = {m.copy(x), m.floats(x.size()), x.size(), o.activation(false)};
  EDGECL_RUN(o, activation_forward, a);
  return to_array(a.y, {x.shape(), x.shape() + x.ndim()});
}

FloatArray activation_backward(const FloatArray& x, const FloatArray& y, const FloatArray& dy,
                               const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const std::vector<py::ssize_t> shape(x.shape(), x.shape() + x.ndim());
  require_shape(y, "y", shape);
  require_shape(dy, "dy", shape);
  const ActivationBackwardArgs a = {m.copy(x), m.copy(y), m.copy(dy),         m.floats(x.size()),
                                    x.size(),  false,     o.activation(false)};
  EDGECL_RUN(o, activation_backward, a);
  return to_array(a.dx, shape);
}

BinaryOp parse_binary(const std::string& op) {
  if (op != "add" && op != "mul") refuse("op 'add' or 'mul'", "'" + op + "'", "name one of these");
  return op == "add" ? BinaryOp::kAdd : BinaryOp::kMul;
}

FloatArray binary_forward(const FloatArray& x, const FloatArray& second, const std::string& op,
                          const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const Tensor t = m.pack(x, "a");
  const Operand b(m, second, t);
  const BinaryArgs a = {t,
                        m.tensor(t.rows(), t.channels, t.height, t.width),
                        b.t.data,
                        b.stride_g,
                        b.stride_c,
                        b.stride_h,
                        b.stride_w,
                        b.stride_l,
                        parse_binary(op),
                        o.activation()};
  EDGECL_RUN(o, binary_forward, a);
  return unpack(a.y, x.ndim() == 2);
}

std::pair<FloatArray, FloatArray> binary_backward(const FloatArray& x, const FloatArray& second, const FloatArray& dy,
                                                  const std::string& op, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const Tensor t = m.pack(x, "a");
  const Operand b(m, second, t);
  Tensor db = b.t;
  db.data = m.floats(db.size());
  const BinaryBackwardArgs a = {t,
                                m.pack_like(dy, "dy", t),
                                m.tensor(t.rows(), t.channels, t.height, t.width),
                                b.t.data,
                                db.data,
                                db.size(),
                                b.stride_g,
                                b.stride_c,
                                b.stride_h,
                                b.stride_w,
                                b.stride_l,
                                parse_binary(op),
                                false,
                                false};
  EDGECL_RUN(o, binary_backward, a);
  return {unpack(a.da, x.ndim() == 2), unpack(db, second.ndim() == 2)};
}

FloatArray accumulate(const FloatArray& y, const FloatArray& x, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const std::vector<py::ssize_t> shape(y.shape(), y.shape() + y.ndim());
  require_shape(x, "x", shape);
  const AccumulateArgs a = {m.copy(x), m.copy(y), x.size(), true};
  EDGECL_RUN(o, accumulate, a);
  return to_array(a.y, shape);
}

void require_inputs(size_t n) {
  if (n < 1 || n > kMaxInputs)
    refuse("1 to " + std::to_string(kMaxInputs) + " inputs", std::to_string(n), "concatenate in steps");
}

FloatArray concat_forward(const std::vector<FloatArray>& inputs, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_inputs(inputs.size());
  ConcatArgs a = {};
  int64_t channels = 0;
  for (const FloatArray& x : inputs) {
    Tensor& t = a.inputs[a.n_inputs++] = m.pack(x, "input");
    Tensor like = a.inputs[0];
    like.channels = t.channels;
    if (t.rows() != like.rows() || t.height != like.height || t.width != like.width)
      refuse("inputs that differ in channels only: " + Memory::describe(like), Memory::describe(t),
             "reshape the input");
    channels += t.channels;
  }
  a.y = m.tensor(a.inputs[0].rows(), channels, a.inputs[0].height, a.inputs[0].width);
  EDGECL_RUN(o, concat_forward, a);
  return unpack(a.y, inputs[0].ndim() == 2);
}

std::vector<FloatArray> concat_backward(const FloatArray& dy, const std::vector<int>& channels,
                                        const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_inputs(channels.size());
  ConcatBackwardArgs a = {};
  a.dy = m.pack(dy, "dy");
  int total = 0;
  for (int c : channels) {
    a.dinputs[a.n_inputs++] = m.tensor(a.dy.rows(), c, a.dy.height, a.dy.width);
    total += c;
  }
  if (total != a.dy.channels)
    refuse("channels that sum to " + std::to_string(a.dy.channels), std::to_string(total), "pass those of the inputs");
  EDGECL_RUN(o, concat_backward, a);
  std::vector<FloatArray> out;
  for (int k = 0; k < a.n_inputs; k++) out.push_back(unpack(a.dinputs[k], dy.ndim() == 2));
  return out;
}

// --- pooling ---

// One place checks and completes the arguments of both poolings; output_size is for windows that hang over (ceil mode).
PoolArgs pool_arguments(Memory& m, Attributes& o, const FloatArray& x, std::pair<int, int> kernel) {
  PoolArgs a = {};
  a.x = m.pack(x, "x");
  a.shape = o.window(kernel.first, kernel.second, false);
  a.count_include_pad = o.take("count_include_pad", true);
  const std::pair<int64_t, int64_t> plain = {output_height(a.x, a.shape), output_width(a.x, a.shape)};
  const auto size = o.take("output_size", plain);
  if (size.first < 1 || size.second < 1 || size.first > plain.first + 1 || size.second > plain.second + 1)
    refuse("output_size of at most one window more than fits",
           std::to_string(size.first) + "x" + std::to_string(size.second), "correct it");
  a.y = m.tensor(a.x.rows(), a.x.channels, size.first, size.second);
  return a;
}

FloatArray max_pool_forward(const FloatArray& x, std::pair<int, int> kernel, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const PoolArgs a = pool_arguments(m, o, x, kernel);
  EDGECL_RUN(o, max_pool_forward, a);
  return unpack(a.y);
}

FloatArray average_pool_forward(const FloatArray& x, std::pair<int, int> kernel, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const PoolArgs a = pool_arguments(m, o, x, kernel);
  EDGECL_RUN(o, average_pool_forward, a);
  return unpack(a.y);
}

FloatArray max_pool_backward(const FloatArray& x, const FloatArray& y, const FloatArray& dy, std::pair<int, int> kernel,
                             const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const PoolArgs p = pool_arguments(m, o, x, kernel);
  const PoolBackwardArgs a = {p.x,
                              m.pack_like(y, "y", p.y),
                              m.pack_like(dy, "dy", p.y),
                              m.tensor(p.x.rows(), p.x.channels, p.x.height, p.x.width),
                              p.shape,
                              p.count_include_pad,
                              false};
  EDGECL_RUN(o, max_pool_backward, a);
  return unpack(a.dx);
}

FloatArray average_pool_backward(const FloatArray& x, const FloatArray& dy, std::pair<int, int> kernel,
                                 const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const PoolArgs p = pool_arguments(m, o, x, kernel);
  const PoolBackwardArgs a = {p.x,
                              p.y,
                              m.pack_like(dy, "dy", p.y),
                              m.tensor(p.x.rows(), p.x.channels, p.x.height, p.x.width),
                              p.shape,
                              p.count_include_pad,
                              false};
  EDGECL_RUN(o, average_pool_backward, a);
  return unpack(a.dx);
}

FloatArray global_average_pool_forward(const FloatArray& x, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const Tensor t = m.pack(x, "x");
  const GlobalPoolArgs a = {t, m.tensor(t.rows(), t.channels, 1, 1)};
  EDGECL_RUN(o, global_average_pool_forward, a);
  return unpack(a.y, true);
}

FloatArray global_average_pool_backward(const FloatArray& dy, std::pair<int, int> input_size,
                                        const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(dy, "dy", {-1, -1});
  const Tensor t = m.pack(dy, "dy");
  if (input_size.first < 1 || input_size.second < 1)
    refuse("input_size >= 1", std::to_string(input_size.first), "pass (height, width)");
  const GlobalPoolBackwardArgs a = {t, m.tensor(t.rows(), t.channels, input_size.first, input_size.second), false};
  EDGECL_RUN(o, global_average_pool_backward, a);
  return unpack(a.dx);
}

// --- input, loss, update ---

FloatArray input_normalize(const py::array& images, float scale, const FloatArray& mean, const FloatArray& inv_std,
                           bool channels_last, const std::optional<IntArray>& crop_y,
                           const std::optional<IntArray>& crop_x, const std::optional<BoolArray>& flip,
                           const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(images, "images", {-1, -1, -1, -1});
  if (images.size() == 0) refuse("images that are not empty", shape_text(images), "pass at least one row");
  InputArgs a = {};
  a.is_u8 = py::isinstance<py::array_t<uint8_t>>(images);
  const py::array raw = a.is_u8 ? py::array(py::array_t<uint8_t, py::array::c_style>::ensure(images))
                                : py::array(FloatArray::ensure(images));
  const py::ssize_t n = images.shape(0), c = images.shape(channels_last ? 3 : 1),
                    h = images.shape(channels_last ? 1 : 2), w = images.shape(channels_last ? 2 : 3);
  const void** rows = m.allocate<const void*>(n);
  for (py::ssize_t r = 0; r < n; r++) rows[r] = static_cast<const unsigned char*>(raw.data()) + r * raw.nbytes() / n;
  a.rows = rows;
  a.channels_last = channels_last;
  a.y = m.tensor(n, c, h, w);
  a.scale = scale;
  a.mean = m.vector(mean, "mean", c);
  a.inv_std = m.vector(inv_std, "inv_std", c);
  for (const auto& crop : {crop_y, crop_x}) {
    if (!crop) continue;
    require_shape(*crop, "crop", {n});
    for (py::ssize_t r = 0; r < n; r++)
      if (crop->at(r) < -128 || crop->at(r) > 127)
        refuse("crops of -128 to 127", std::to_string(crop->at(r)), "shift by fewer cells");
  }
  if (crop_y) a.crop_y = m.copy_values<int8_t>(crop_y->data(), n);
  if (crop_x) a.crop_x = m.copy_values<int8_t>(crop_x->data(), n);
  if (flip) {
    require_shape(*flip, "flip", {n});
    a.flip = m.copy_values<uint8_t>(flip->data(), n);
  }
  EDGECL_RUN(o, input_normalize, a);
  return unpack(a.y);
}

const uint8_t* class_mask(Memory& m, const std::optional<BoolArray>& allowed, int64_t classes) {
  if (allowed) {
    require_shape(*allowed, "allowed", {classes});
    return m.copy_values<uint8_t>(allowed->data(), classes);
  }
  uint8_t* all = m.allocate<uint8_t>(classes);
  for (int64_t c = 0; c < classes; c++) all[c] = 1;
  return all;
}

std::pair<FloatArray, FloatArray> cross_entropy(const FloatArray& logits, const IntArray& labels,
                                                const std::optional<BoolArray>& allowed, float weight,
                                                const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(logits, "logits", {-1, -1});
  const py::ssize_t n = logits.shape(0), classes = logits.shape(1);
  require_shape(labels, "labels", {n});
  const uint8_t* mask = class_mask(m, allowed, classes);
  for (py::ssize_t r = 0; r < n; r++)
    if (labels.at(r) < 0 || labels.at(r) >= classes || !mask[labels.at(r)])
      refuse("labels of allowed classes below " + std::to_string(classes), std::to_string(labels.at(r)),
             "correct labels or allowed");
  const CrossEntropyArgs a = {m.pack(logits, "logits"),
                              m.tensor(n, classes, 1, 1),
                              m.copy_values<int32_t>(labels.data(), n),
                              mask,
                              0,
                              static_cast<int32_t>(n),
                              weight,
                              m.floats(n)};
  EDGECL_RUN(o, cross_entropy, a);
  return {to_array(a.loss_row, {n}), unpack(a.dlogits, true)};
}

std::pair<FloatArray, FloatArray> logits_mse(const FloatArray& logits, const FloatArray& target,
                                             const std::optional<BoolArray>& allowed, float weight,
                                             const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(logits, "logits", {-1, -1});
  const py::ssize_t n = logits.shape(0), classes = logits.shape(1);
  require_shape(target, "target", {n, classes});
  const float** rows = m.allocate<const float*>(n);
  for (py::ssize_t r = 0; r < n; r++) rows[r] = m.copy_values<float>(target.data() + r * classes, classes);
  const LogitsMseArgs a = {m.pack(logits, "logits"),
                           m.tensor(n, classes, 1, 1),
                           rows,
                           class_mask(m, allowed, classes),
                           0,
                           static_cast<int32_t>(n),
                           weight,
                           m.floats(n)};
  EDGECL_RUN(o, logits_mse, a);
  return {to_array(a.loss_row, {n}), unpack(a.dlogits, true)};
}

py::tuple sgd_update(const FloatArray& weight, const OptionalFloats& velocity, const FloatArray& gradient, float lr,
                     float momentum, float weight_decay, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  const std::vector<py::ssize_t> shape(weight.shape(), weight.shape() + weight.ndim());
  require_shape(gradient, "gradient", shape);
  if (velocity) require_shape(*velocity, "velocity", shape);
  const SgdArgs a = {m.copy(weight), m.copy(velocity), m.copy(gradient), weight.size(), lr, momentum, weight_decay};
  EDGECL_RUN(o, sgd_update, a);
  return py::make_tuple(to_array(a.weight, shape), velocity ? py::object(to_array(a.velocity, shape)) : py::none());
}

std::vector<std::string> levels() {
  const char* names[16];
  const int n = kernel_levels(names, 16);
  return {names, names + n};
}

}  // namespace
}  // namespace edgecl::binding

PYBIND11_MODULE(edgecl_kernels, m) {
  using namespace edgecl::binding;
  using namespace py::literals;
  m.doc() = "Every kernel of edgecl as a function of numpy arrays; signatures and shapes stand in edgecl_kernels.pyi.";
  m.def("levels", &levels);
  m.def("default_level", [] { return std::string(edgecl::kernel_table(nullptr)->level); });
  m.def("all_finite", [](const FloatArray& x) { return edgecl::all_finite(x.data(), x.size()); }, "x"_a);

  add_timed_layer(m);
  add_moments(m);
  add_hyperdimensional(m);
  add_recurrent(m);
  add_tokens(m);

  m.def("conv_forward", &conv_forward, "x"_a, "weight"_a, "bias"_a = py::none());
  m.def("conv_backward_data", &conv_backward_data, "dy"_a, "weight"_a, "input_size"_a, "add_to"_a = py::none());
  m.def("conv_backward_weight", &conv_backward_weight, "x"_a, "dy"_a, "kernel_size"_a);
  m.def("linear_forward", &linear_forward, "x"_a, "weight"_a, "bias"_a = py::none());
  m.def("linear_backward_data", &linear_backward_data, "dy"_a, "weight"_a, "add_to"_a = py::none());
  m.def("linear_backward_weight", &linear_backward_weight, "x"_a, "dy"_a);
  m.def("sparse_conv_forward", &sparse_conv_forward, "x"_a, "weight"_a, "pattern"_a, "bias"_a = py::none());
  m.def("sparse_conv_backward_data", &sparse_conv_backward_data, "dy"_a, "weight"_a, "pattern"_a, "input_size"_a,
        "add_to"_a = py::none());
  m.def("sparse_conv_backward_weight", &sparse_conv_backward_weight, "x"_a, "dy"_a, "pattern"_a,
        "selected"_a = py::none());
  m.def("sparse_linear_forward", &sparse_linear_forward, "x"_a, "weight"_a, "pattern"_a, "bias"_a = py::none());
  m.def("sparse_linear_backward_data", &sparse_linear_backward_data, "dy"_a, "weight"_a, "pattern"_a,
        "add_to"_a = py::none());
  m.def("sparse_linear_backward_weight", &sparse_linear_backward_weight, "x"_a, "dy"_a, "pattern"_a,
        "selected"_a = py::none());

  m.def("batch_norm_forward", &batch_norm_forward, "x"_a, "gamma"_a, "beta"_a, "mean"_a = py::none(),
        "rstd"_a = py::none(), "eps"_a = 1e-5f, "residual"_a = py::none());
  m.def("batch_norm_backward", &batch_norm_backward, "x"_a, "y"_a, "dy"_a, "gamma"_a, "mean"_a, "rstd"_a,
        "frozen"_a = false);
  m.def("group_norm_forward", &group_norm_forward, "x"_a, "gamma"_a, "beta"_a, "n_groups"_a, "eps"_a = 1e-5f);
  m.def("group_norm_backward", &group_norm_backward, "x"_a, "y"_a, "dy"_a, "gamma"_a, "n_groups"_a, "mean"_a, "rstd"_a);
  m.def("l2_normalize_forward", &l2_normalize_forward, "x"_a, "eps"_a = 1e-12f);
  m.def("l2_normalize_backward", &l2_normalize_backward, "x"_a, "dy"_a, "eps"_a = 1e-12f);

  m.def("activation_forward", &activation_forward, "x"_a);
  m.def("activation_backward", &activation_backward, "x"_a, "y"_a, "dy"_a);
  m.def("binary_forward", &binary_forward, "a"_a, "b"_a, "op"_a);
  m.def("binary_backward", &binary_backward, "a"_a, "b"_a, "dy"_a, "op"_a);
  m.def("accumulate", &accumulate, "y"_a, "x"_a);
  m.def("concat_forward", &concat_forward, "inputs"_a);
  m.def("concat_backward", &concat_backward, "dy"_a, "channels"_a);

  m.def("max_pool_forward", &max_pool_forward, "x"_a, "kernel_size"_a);
  m.def("max_pool_backward", &max_pool_backward, "x"_a, "y"_a, "dy"_a, "kernel_size"_a);
  m.def("average_pool_forward", &average_pool_forward, "x"_a, "kernel_size"_a);
  m.def("average_pool_backward", &average_pool_backward, "x"_a, "dy"_a, "kernel_size"_a);
  m.def("global_average_pool_forward", &global_average_pool_forward, "x"_a);
  m.def("global_average_pool_backward", &global_average_pool_backward, "dy"_a, "input_size"_a);

  m.def("input_normalize", &input_normalize, "images"_a, "scale"_a, "mean"_a, "inv_std"_a, "channels_last"_a = false,
        "crop_y"_a = py::none(), "crop_x"_a = py::none(), "flip"_a = py::none());
  m.def("cross_entropy", &cross_entropy, "logits"_a, "labels"_a, "allowed"_a = py::none(), "weight"_a = 1.0f);
  m.def("logits_mse", &logits_mse, "logits"_a, "target"_a, "allowed"_a = py::none(), "weight"_a = 1.0f);
  m.def("sgd_update", &sgd_update, "weight"_a, "velocity"_a, "gradient"_a, "lr"_a, "momentum"_a = 0.0f,
        "weight_decay"_a = 0.0f);
}
