// edgecl_kernels: the kernels behind statistics as functions of numpy arrays.
// Never here: arithmetic of its own, heads.
#include "tools/kernels_module/moments.h"

#include <algorithm>
#include <cmath>

#include "tools/kernels_module/arrays.h"

namespace edgecl::binding {
namespace {

using DoubleArray = py::array_t<double, py::array::c_style | py::array::forcecast>;
using LongArray = py::array_t<int64_t, py::array::c_style | py::array::forcecast>;

constexpr int kMostFeatures = 1 << 15;

template <class T>
py::array_t<T> array_of(const T* p, std::vector<py::ssize_t> shape) {
  py::array_t<T> a(shape);
  std::copy(p, p + a.size(), a.mutable_data());
  return a;
}

void require_features(int64_t d) {
  if (d < 1 || d > kMostFeatures)
    refuse("1 to " + std::to_string(kMostFeatures) + " features", std::to_string(d), "correct d");
}
// A packed triangle of d features.
void require_triangle(const py::array& a, const char* name, int64_t d) {
  require_features(d);
  require_shape(a, name, {moments_size(d)});
}

LongArray triangle_places(int64_t d) {
  require_features(d);
  LongArray places(d * (d + 1) / 2);
  int64_t* to = places.mutable_data();
  for (int64_t i = 0; i < d; i++)
    for (int64_t j = 0; j <= i; j++) *to++ = moments_at(i, j, d);
  return places;
}

py::tuple quantize_rows(const FloatArray& x, float scale, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(x, "x", {-1, -1});
  require_features(x.shape(1));
  if (std::any_of(x.data(), x.data() + x.size(), [](float v) { return std::isnan(v); }) || std::isnan(scale))
    refuse("numbers", "NaN", "remove it");
  const QuantizeRowsArgs a = {m.copy(x),
                              m.allocate<int16_t>(x.size()),
                              m.allocate<int32_t>(x.shape(0)),
                              static_cast<int32_t>(x.shape(0)),
                              static_cast<int32_t>(x.shape(1)),
                              scale};
  EDGECL_RUN(o, quantize_rows, a);
  return py::make_tuple(array_of(a.q, {x.shape(0), x.shape(1)}), array_of(a.saturated, {x.shape(0)}));
}

LongArray moments_update(const LongArray& moments, const LongArray& q, bool subtract, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(q, "q", {-1, -1});
  const py::ssize_t n = q.shape(0), d = q.shape(1);
  require_triangle(moments, "moments", d);
  if (n < 1 || n > kMomentRows)
    refuse("1 to " + std::to_string(kMomentRows) + " rows", std::to_string(n), "add them in pieces");
  for (py::ssize_t i = 0; i < q.size(); i++)
    if (std::abs(q.data()[i]) > kQuantizedLimit)
      refuse("values within " + std::to_string(kQuantizedLimit), std::to_string(q.data()[i]), "quantize_rows");
  const MomentsUpdateArgs a = {m.copy_values<int16_t>(q.data(), q.size()),
                               m.copy_values<int64_t>(moments.data(), moments.size()), static_cast<int32_t>(n),
                               static_cast<int32_t>(d), subtract};
  EDGECL_RUN(o, moments_update, a);
  return array_of(a.moments, {moments.size()});
}

DoubleArray moments_to_covariance(const LongArray& moments, const LongArray& sums, const DoubleArray& weight,
                                  double alpha, double ridge, const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(sums, "sums", {-1, -1});
  const py::ssize_t k = sums.shape(0), d = sums.shape(1);
  require_triangle(moments, "moments", d);
  require_shape(weight, "weight", {k});
  if (!(alpha >= 0)) refuse("alpha >= 0", std::to_string(alpha), "pass such a factor");
  const MomentsToCovarianceArgs a = {m.copy_values<int64_t>(moments.data(), moments.size()),
                                     m.allocate<double>(moments.size()),
                                     m.copy_values<int64_t>(sums.data(), sums.size()),
                                     m.copy_values<double>(weight.data(), k),
                                     static_cast<int32_t>(k),
                                     static_cast<int32_t>(d),
                                     alpha,
                                     ridge};
  EDGECL_RUN(o, moments_to_covariance, a);
  return array_of(a.covariance, {moments.size()});
}

py::tuple cholesky_factor(const DoubleArray& matrix, int64_t d, double floor, const py::kwargs& kwargs) {
  Memory m;
  require_triangle(matrix, "matrix", d);
  if (!(floor >= 0)) refuse("floor >= 0", std::to_string(floor), "pass 0 to refuse what is not positive");
  int32_t failed = 0;
  CholeskyFactorArgs a = {m.copy_values<double>(matrix.data(), matrix.size()), static_cast<int32_t>(d), 0, floor,
                          &failed};
  for (; a.phase < cholesky_phases(a.d); a.phase++) {
    Attributes o(kwargs);
    EDGECL_RUN(o, cholesky_factor, a);
  }
  return py::make_tuple(array_of(a.matrix, {matrix.size()}), failed);
}

DoubleArray cholesky_solve(const DoubleArray& factor, const DoubleArray& b, bool forward_only,
                           const py::kwargs& kwargs) {
  Memory m;
  Attributes o(kwargs);
  require_shape(b, "b", {-1, -1});
  require_triangle(factor, "factor", b.shape(0));
  const CholeskySolveArgs a = {m.copy_values<double>(factor.data(), factor.size()),
                               m.copy_values<double>(b.data(), b.size()), static_cast<int32_t>(b.shape(0)),
                               static_cast<int32_t>(b.shape(1)), forward_only};
  EDGECL_RUN(o, cholesky_solve, a);
  return array_of(a.b, {b.shape(0), b.shape(1)});
}

}  // namespace

void add_moments(py::module_& m) {
  using namespace py::literals;
  m.def("triangle_places", &triangle_places, "d"_a);
  m.def("quantize_rows", &quantize_rows, "x"_a, "scale"_a);
  m.def("moments_update", &moments_update, "moments"_a, "q"_a, "subtract"_a = false);
  m.def("moments_to_covariance", &moments_to_covariance, "moments"_a, "sums"_a, "weight"_a, "alpha"_a = 1.0,
        "ridge"_a = 0.0);
  m.def("cholesky_factor", &cholesky_factor, "matrix"_a, "d"_a, "floor"_a = 0.0);
  m.def("cholesky_solve", &cholesky_solve, "factor"_a, "b"_a, "forward_only"_a = false);
}

}  // namespace edgecl::binding
