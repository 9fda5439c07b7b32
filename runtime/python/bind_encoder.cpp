// The model file of another engine that a bundle carries, for Python.
// Never here: running it (edgecl/external.py).
#include "runtime/python/model.h"

namespace edgecl::python {
namespace {

edgecl_encoder_info described(edgecl_model* model) {
  auto info = sized<edgecl_encoder_info>();
  const edgecl_status status = edgecl_model_encoder(model, &info);
  if (status != EDGECL_OK)
    raise_status(status, "expected a bundle with an encoder of another engine; found none; export one with --external");
  return info;
}

py::array_t<float> floats(const float* values, uint32_t rows, uint32_t columns) {
  return py::array_t<float>({static_cast<py::ssize_t>(rows), static_cast<py::ssize_t>(columns)}, values);
}

}  // namespace

py::object Model::encoder() const {
  auto info = sized<edgecl_encoder_info>();
  if (edgecl_model_encoder(handle(), &info) != EDGECL_OK) return py::none();
  py::dict d;
  py::list dims;
  for (uint32_t i = 0; i < info.input_rank; ++i) dims.append(info.input_dims[i]);
  d["engine"] = info.engine == EDGECL_ENGINE_ONNX ? "onnx" : "tflite";
  d["input_dtype"] = info.input_dtype;
  d["input_dims"] = dims;
  d["input_elements"] = info.input_elements;
  d["channels_last"] = info.channels_last != 0;
  d["file_channels_last"] = info.file_channels_last != 0;
  d["embedding_dim"] = info.embedding_dim;
  d["positions"] = info.positions;
  d["n_probe"] = info.n_probe;
  d["file_bytes"] = info.file_bytes;
  py::dict input;
  input["scale"] = info.scale;
  input["mean"] = py::array_t<float>(static_cast<py::ssize_t>(info.n_channels), info.mean);
  input["inv_std"] = py::array_t<float>(static_cast<py::ssize_t>(info.n_channels), info.inv_std);
  d["input"] = input;
  d["probe_outputs"] = floats(info.probe_outputs, info.n_probe, info.embedding_dim);
  return d;
}

py::bytes Model::encoder_file() const {
  const edgecl_encoder_info info = described(handle());
  return py::bytes(static_cast<const char*>(info.file), info.file_bytes);
}

py::array Model::encoder_probe() const {
  const edgecl_encoder_info info = described(handle());
  std::vector<py::ssize_t> shape = {static_cast<py::ssize_t>(info.n_probe)};
  for (uint32_t i = 0; i < info.input_rank; ++i) shape.push_back(static_cast<py::ssize_t>(info.input_dims[i]));
  py::array rows(info.input_dtype == EDGECL_U8 ? py::dtype::of<uint8_t>() : py::dtype::of<float>(), shape);
  auto* const bytes = static_cast<uint8_t*>(rows.mutable_data());
  const size_t row_bytes =
      static_cast<size_t>(info.input_elements) * (info.input_dtype == EDGECL_U8 ? 1 : sizeof(float));
  for (uint32_t row = 0; row < info.n_probe; ++row) {
    const edgecl_status status = edgecl_model_encoder_probe(handle(), row, bytes + row * row_bytes);
    if (status != EDGECL_OK) raise_status(status, "expected a row of the probe; found none; please report it");
  }
  return rows;
}

}  // namespace edgecl::python
