// Parameter values for inspection: as shipped from the bundle, as learned from an exported state.
// Never here: the layout of a state (edgecl/state_file.py reads it).
#include <cstring>

#include "runtime/bundle/bundle_format.h"
#include "runtime/python/model.h"
#include "runtime/python/session.h"

namespace edgecl::python {
namespace {

py::array dense_values(const format::ParamRecord& param, const uint8_t* data) {
  std::vector<py::ssize_t> shape(param.dims, param.dims + param.rank);
  py::array_t<float> array(shape);
  if (param.storage == format::kStorageDense) {
    std::memcpy(array.mutable_data(), data + param.offset, static_cast<size_t>(array.nbytes()));
    return std::move(array);
  }
  std::memset(array.mutable_data(), 0, static_cast<size_t>(array.nbytes()));
  const auto* positions = reinterpret_cast<const uint32_t*>(data + param.offset);
  const uint64_t position_bytes = (static_cast<uint64_t>(param.nnz) * sizeof(uint32_t) + 63) / 64 * 64;
  const auto* values = reinterpret_cast<const float*>(data + param.offset + position_bytes);
  for (uint32_t k = 0; k < param.nnz; ++k) array.mutable_data()[positions[k]] = values[k];
  return std::move(array);
}

}  // namespace

py::tuple Model::shipped_parameters() const {
  handle();  // refuses a closed model
  uint64_t n_strings = 0, n_params = 0, n_data = 0, n_ops = 0;
  const auto* strings = reinterpret_cast<const char*>(bundle_section(bytes_, format::kSectionStrings, &n_strings));
  const auto* params =
      reinterpret_cast<const format::ParamRecord*>(bundle_section(bytes_, format::kSectionParams, &n_params));
  const auto* ops = reinterpret_cast<const format::OpRecord*>(bundle_section(bytes_, format::kSectionOps, &n_ops));
  const uint8_t* data = bundle_section(bytes_, format::kSectionData, &n_data);
  py::list names, arrays;
  for (uint64_t i = 0; i < n_params / sizeof(format::ParamRecord); ++i) {
    names.append(py::str(strings + params[i].name.offset, params[i].name.bytes));
    arrays.append(dense_values(params[i], data));
  }
  py::dict statistics;
  for (uint64_t i = 0; i < n_ops / sizeof(format::OpRecord); ++i) {
    if (ops[i].kind == format::kOpBatchNorm)
      statistics[py::int_(i)] = py::make_tuple(ops[i].params[2], ops[i].params[3]);
  }
  return py::make_tuple(names, arrays, statistics);
}

py::dict Session::parameters() {
  const py::bytes state = state_export();
  const py::tuple shipped = model_->shipped_parameters();
  return py::module_::import("edgecl.state_file").attr("present_parameters")(state, shipped[0], shipped[1], shipped[2]);
}

}  // namespace edgecl::python
