// edgecl_kernels: hyperdimensional codes as functions of numpy arrays, which the kernels read and write in place.
// Never here: arithmetic of its own.
#include "tools/kernels_module/hyperdimensional.h"

#include <algorithm>

#include "tools/kernels_module/arrays.h"

namespace edgecl::binding {
namespace {

// No conversions: a float or a wider integer is refused, not cut off.
using FeatureArray = py::array_t<int16_t, py::array::c_style>;
using CodeArray = py::array_t<uint64_t, py::array::c_style>;
using CounterArray = py::array_t<int32_t, py::array::c_style>;

void require_bits(int64_t bits) {
  if (bits < 64 || bits > kHdMaxBits || bits % 64 != 0)
    refuse("a multiple of 64 bits from 64 to " + std::to_string(kHdMaxBits), std::to_string(bits),
           "choose another size of codes");
}
int32_t bits_of(const CodeArray& codes, const char* name) {
  require_shape(codes, name, {-1, -1});
  const int64_t bits = codes.shape(1) * 64;
  require_bits(bits);
  return static_cast<int32_t>(bits);
}
int32_t rows_of(const py::array& a) {
  return static_cast<int32_t>(a.shape(0));
}

CodeArray hd_encode(const FeatureArray& x, int bits, uint64_t seed, uint32_t layer, const py::kwargs& kwargs) {
  Attributes o(kwargs);
  require_shape(x, "x", {-1, -1});
  require_bits(bits);
  if (x.shape(1) < 1 || x.shape(1) > kHdMaxFeatures)
    refuse("1 to " + std::to_string(kHdMaxFeatures) + " features", std::to_string(x.shape(1)), "pass fewer or more");
  for (py::ssize_t i = 0; i < x.size(); i++)
    if (x.data()[i] < -kHdMaxFeature || x.data()[i] > kHdMaxFeature)
      refuse("features from -" + std::to_string(kHdMaxFeature) + " to " + std::to_string(kHdMaxFeature),
             std::to_string(x.data()[i]), "scale the row down");
  CodeArray codes({x.shape(0), static_cast<py::ssize_t>(bits / 64)});
  const HdEncodeArgs a = {x.data(), rows_of(x),          static_cast<int32_t>(x.shape(1)), seed, layer,
                          bits,     codes.mutable_data()};
  EDGECL_RUN(o, hd_encode, a);
  return codes;
}

CodeArray hd_bundle_majority(const std::vector<CodeArray>& codes, uint64_t seed,
                             const std::optional<std::vector<uint32_t>>& layers, const py::kwargs& kwargs) {
  Attributes o(kwargs);
  if (codes.empty() || codes.size() > kHdMaxLayers)
    refuse("codes of 1 to " + std::to_string(kHdMaxLayers) + " layers", std::to_string(codes.size()),
           "bundle fewer layers");
  if (layers && layers->size() != codes.size())
    refuse("as many layer numbers as codes: " + std::to_string(codes.size()), std::to_string(layers->size()),
           "pass one number for each array of codes");
  HdBundleArgs a = {};
  a.bits = bits_of(codes[0], "codes[0]");
  a.rows = rows_of(codes[0]);
  for (const CodeArray& c : codes) {
    require_shape(c, "codes", {codes[0].shape(0), codes[0].shape(1)});
    a.layer[a.n_layers] = layers ? (*layers)[static_cast<size_t>(a.n_layers)] : 0;
    a.codes[a.n_layers++] = c.data();
  }
  a.seed = seed;
  a.bind = layers.has_value();
  CodeArray bundle({codes[0].shape(0), codes[0].shape(1)});
  a.bundle = bundle.mutable_data();
  EDGECL_RUN(o, hd_bundle_majority, a);
  return bundle;
}

CounterArray hd_accumulate(const CounterArray& counters, const CodeArray& codes, bool subtract,
                           const py::kwargs& kwargs) {
  Attributes o(kwargs);
  const int32_t bits = bits_of(codes, "codes");
  require_shape(counters, "counters", {bits});
  CounterArray result(counters.size());
  std::copy(counters.data(), counters.data() + counters.size(), result.mutable_data());
  const HdAccumulateArgs a = {codes.data(), rows_of(codes), bits, result.mutable_data(), subtract};
  EDGECL_RUN(o, hd_accumulate, a);
  return result;
}

CodeArray hd_signs(const CounterArray& counters, uint64_t seed, const py::kwargs& kwargs) {
  Attributes o(kwargs);
  require_shape(counters, "counters", {-1, -1});
  require_bits(counters.shape(1));
  CodeArray codes({counters.shape(0), counters.shape(1) / 64});
  const HdSignsArgs a = {counters.data(), rows_of(counters), static_cast<int32_t>(counters.shape(1)), seed,
                         codes.mutable_data()};
  EDGECL_RUN(o, hd_signs, a);
  return codes;
}

CounterArray hd_hamming(const CodeArray& codes, const CodeArray& exemplars, const py::kwargs& kwargs) {
  Attributes o(kwargs);
  const int32_t bits = bits_of(codes, "codes");
  require_shape(exemplars, "exemplars", {-1, codes.shape(1)});
  CounterArray distance({codes.shape(0), exemplars.shape(0)});
  const HdHammingArgs a = {codes.data(), exemplars.data(),       rows_of(codes), rows_of(exemplars),
                           bits,         distance.mutable_data()};
  EDGECL_RUN(o, hd_hamming, a);
  return distance;
}

}  // namespace

void add_hyperdimensional(py::module_& m) {
  using namespace py::literals;
  m.def("hd_encode", &hd_encode, "x"_a, "bits"_a, "seed"_a, "layer"_a = 0u);
  m.def("hd_bundle_majority", &hd_bundle_majority, "codes"_a, "seed"_a, "layers"_a = py::none());
  m.def("hd_accumulate", &hd_accumulate, "counters"_a, "codes"_a, "subtract"_a = false);
  m.def("hd_signs", &hd_signs, "counters"_a, "seed"_a);
  m.def("hd_hamming", &hd_hamming, "codes"_a, "exemplars"_a);
}

}  // namespace edgecl::binding
