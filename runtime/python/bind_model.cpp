// The class Model and the functions about bundle bytes.
// Never here: sessions, the writer.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/bundle/bundle_format.h"
#include "runtime/core/recipe.h"
#include "runtime/python/config.h"
#include "runtime/python/model.h"

namespace edgecl::python {
namespace {

py::list class_names(const edgecl_model* model, uint32_t n) {
  py::list names;
  for (uint32_t i = 0; i < n; ++i) {
    auto info = sized<edgecl_class_info>();
    if (edgecl_model_class(model, i, &info) == EDGECL_OK) names.append(info.name);
  }
  return names;
}

py::list dims_list(const uint32_t* dims, uint32_t rank) {
  py::list result;
  for (uint32_t i = 0; i < rank; ++i) result.append(dims[i]);
  return result;
}

std::string system_words() {
  return std::strerror(errno);
}

// The whole file in aligned memory. An empty file is left to the bundle checks, which name what is missing.
AlignedBytes file_bytes(const std::string& path, size_t* n_bytes) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  AlignedBytes bytes;
  std::string reason;
  struct stat information{};
  if (descriptor < 0 || fstat(descriptor, &information) != 0) {
    reason = system_words();
  } else if (S_ISDIR(information.st_mode)) {
    reason = "a folder";
  } else {
    *n_bytes = static_cast<size_t>(information.st_size);
    bytes = aligned_room(*n_bytes);
    for (size_t done = 0; done < *n_bytes && reason.empty();) {
      const ssize_t got = read(descriptor, bytes.get() + done, *n_bytes - done);
      if (got > 0) {
        done += static_cast<size_t>(got);
      } else if (got == 0) {
        reason = "a file that became shorter while it was read";
      } else if (errno != EINTR) {
        reason = system_words();
      }
    }
  }
  if (descriptor >= 0) ::close(descriptor);
  if (!reason.empty()) {
    raise_status(EDGECL_E_IO, "expected a readable bundle at '" + path + "'; found: " + reason +
                                  "; check the path and its permissions");
  }
  return bytes;
}

py::object index_or_none(uint32_t index) {
  return index == format::kNone ? py::object(py::none()) : py::object(py::int_(index));
}

py::dict input_dict(const uint8_t* bytes) {
  uint64_t n_bytes = 0;
  const uint8_t* const start = bundle_section(bytes, format::kSectionInput, &n_bytes);
  const auto* input = reinterpret_cast<const format::InputRecord*>(start);
  const auto* values = reinterpret_cast<const float*>(start + sizeof(format::InputRecord));
  py::dict result;
  result["scale"] = input->scale;
  result["mean"] = py::array_t<float>(static_cast<py::ssize_t>(input->n_mean), values);
  result["inv_std"] = py::array_t<float>(static_cast<py::ssize_t>(input->n_mean), values + input->n_mean);
  return result;
}

}  // namespace

const uint8_t* bundle_section(const uint8_t* bytes, uint32_t type, uint64_t* n_bytes) {
  const auto* header = reinterpret_cast<const format::Header*>(bytes);
  const auto* records = reinterpret_cast<const format::SectionRecord*>(bytes + sizeof(format::Header));
  for (uint32_t i = 0; i < header->n_sections; ++i) {
    if (records[i].type == type) {
      *n_bytes = records[i].bytes;
      return bytes + records[i].offset;
    }
  }
  *n_bytes = 0;
  return nullptr;
}

Model::Model(const py::object& path, const py::object& data) {
  if (path.is_none() == data.is_none()) {
    raise_status(EDGECL_E_ARGUMENT, "expected either path= or data=; found both or neither; pass one of them");
  }
  size_t n_bytes = 0;
  if (!path.is_none()) {
    const py::bytes encoded(py::module_::import("os").attr("fsencode")(path));
    bytes_ = file_bytes(static_cast<std::string>(encoded), &n_bytes);
  } else {
    const py::buffer_info view = py::cast<py::buffer>(data).request();
    n_bytes = static_cast<size_t>(view.size * view.itemsize);
    bytes_ = aligned_copy(view.ptr, n_bytes);
  }
  ErrorRecord error;
  edgecl_status status;
  {
    const py::gil_scoped_release release;
    status = edgecl_model_open_memory(bytes_.get(), n_bytes, nullptr, &model_, &error);
  }
  check(status, error);
  info_ = sized<edgecl_model_info>();
  if (edgecl_model_describe(model_, &info_) != EDGECL_OK) {
    edgecl_model_close(model_);
    raise_status(EDGECL_E_INTERNAL,
                 "expected a description of the opened bundle; found none; please report it with build_info()");
  }
}

Model::~Model() {
  // Sessions hold a reference to this object, so none lives any more.
  if (model_ != nullptr) edgecl_model_close(model_);
}

edgecl_model* Model::handle() const {
  if (model_ == nullptr) raise_if_closed();
  return model_;
}

void Model::close() {
  if (model_ == nullptr) return;
  const edgecl_status status = n_uses_ != 0 ? EDGECL_E_SEQUENCE : edgecl_model_close(model_);
  if (status != EDGECL_OK) {
    raise_status(status, "expected no session of this model; found at least one; close the sessions first");
  }
  model_ = nullptr;
}

py::dict Model::describe() const {
  edgecl_model* const model = handle();
  const edgecl_model_info& i = info_;
  py::dict d;
  d["format_version"] = i.format_version;
  d["name"] = i.name;
  d["producer"] = i.producer;
  d["bundle_bytes"] = i.bundle_bytes;
  d["digest"] = hex(i.digest, sizeof(i.digest));
  d["input_dtype"] = i.input_dtype;
  d["input_rank"] = i.input_rank;
  d["input_dims"] = dims_list(i.input_dims, i.input_rank);
  d["channels_last"] = i.channels_last != 0;
  d["input_elements"] = i.input_elements;
  d["embedding_dim"] = i.embedding_dim;
  d["class_capacity"] = i.class_capacity;
  d["n_classes"] = i.n_classes;
  d["n_ops"] = i.n_ops;
  d["n_params"] = i.n_params;
  d["n_trainable_params"] = i.n_trainable_params;
  d["weights_total"] = i.weights_total;
  d["weights_trainable"] = i.weights_trainable;
  d["weights_stored"] = i.weights_stored;
  d["macs_forward"] = i.macs_forward;
  d["macs_forward_sparse"] = i.macs_forward_sparse;
  d["macs_backward"] = i.macs_backward;
  d["macs_backward_sparse"] = i.macs_backward_sparse;
  d["parity_rows"] = i.parity_rows;
  d["parity_max_abs"] = i.parity_max_abs;
  d["parity_mean_abs"] = i.parity_mean_abs;
  d["parity_reference_abs"] = i.parity_reference_abs;
  d["notes"] = i.notes != nullptr ? i.notes : "";
  d["parity_source"] = i.parity_source != nullptr ? i.parity_source : "";
  d["label_kind"] = i.label_kind;
  d["n_exemplars"] = i.n_exemplars;
  d["is_signed"] = i.is_signed != 0;
  d["kernel_level"] = edgecl_model_kernel_level(model);
  d["classes"] = class_names(model, i.n_classes);
  d["recipe"] = recipe();
  d["input"] = input_dict(bytes_.get());
  uint64_t n_bytes = 0;
  const auto* record =
      reinterpret_cast<const format::ModelRecord*>(bundle_section(bytes_.get(), format::kSectionModel, &n_bytes));
  d["head_weight"] = index_or_none(record->head_weight);
  d["head_bias"] = index_or_none(record->head_bias);
  return d;
}

// The recipe's fields of the default configuration, and which part of the model trains, which no configuration says.
py::dict Model::recipe() const {
  const py::dict config = config_dict(default_config());
  py::dict result;
  for (uint32_t i = 0; i < format::kRecipeFields; ++i) {
    const char* const name = recipe_fields()[i].name;
    result[name] = config[name];
  }
  uint64_t n_bytes = 0;
  const auto* record =
      reinterpret_cast<const format::RecipeRecord*>(bundle_section(bytes_.get(), format::kSectionRecipe, &n_bytes));
  result["trainable"] = name_of(kTrainableNames, record->trainable);
  return result;
}

py::list Model::layers() const {
  py::list result;
  for (uint32_t index = 0; index < info_.n_params; ++index) {
    auto layer = sized<edgecl_param_info>();
    const edgecl_status status = edgecl_model_param(handle(), index, &layer);
    if (status != EDGECL_OK)
      raise_status(status, "expected parameter " + std::to_string(index) + "; found none; please report it");
    py::dict d;
    d["name"] = layer.name;
    d["dims"] = dims_list(layer.dims, layer.rank);
    d["trainable"] = layer.trainable != 0;
    d["sparse"] = layer.sparse != 0;
    d["stored"] = layer.stored;
    d["density"] = layer.density;
    result.append(d);
  }
  return result;
}

py::list Model::ops() const {
  py::list result;
  for (uint32_t index = 0; index < info_.n_ops; ++index) {
    auto op = sized<edgecl_op_info>();
    const edgecl_status status = edgecl_model_op(handle(), index, &op);
    if (status != EDGECL_OK)
      raise_status(status, "expected operator " + std::to_string(index) + "; found none; please report it");
    py::dict d;
    d["name"] = op.name;
    d["kind"] = op.kind;
    d["macs_forward"] = op.macs_forward;
    d["macs_backward"] = op.macs_backward;
    d["weight_bytes"] = op.weight_bytes;
    d["index_bytes"] = op.index_bytes;
    d["input_bytes"] = op.input_bytes;
    d["output_bytes"] = op.output_bytes;
    d["sparse"] = op.sparse != 0;
    d["trainable"] = op.trainable != 0;
    result.append(d);
  }
  return result;
}

py::dict Model::config_from_state(const py::buffer& data) const {
  const py::buffer_info view = data.request();
  auto config = sized<edgecl_session_config>();
  ErrorRecord error;
  static const char kEmpty[1] = {0};
  const size_t n_bytes = static_cast<size_t>(view.size * view.itemsize);
  check(edgecl_session_config_from_state(handle(), n_bytes != 0 ? view.ptr : kEmpty, n_bytes, &config, &error), error);
  return config_dict(config);
}

py::tuple Model::migrate(const py::buffer& data, const Model& to) const {
  const py::buffer_info view = data.request();
  const size_t n_bytes = static_cast<size_t>(view.size * view.itemsize);
  const py::bytes out =
      py::reinterpret_steal<py::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(n_bytes)));
  if (!out) throw py::error_already_set();
  auto migration = sized<edgecl_migration>();
  ErrorRecord error;
  static const char kEmpty[1] = {0};
  check(edgecl_state_migrate(handle(), to.handle(), n_bytes != 0 ? view.ptr : kEmpty, n_bytes,
                             PyBytes_AS_STRING(out.ptr()), n_bytes, &migration, &error),
        error);
  py::dict told;
  told["n_params"] = migration.n_params;
  told["n_renamed"] = migration.n_renamed;
  told["n_frozen_changed"] = migration.n_frozen_changed;
  told["n_classes_left"] = migration.n_classes_left;
  return py::make_tuple(out, told);
}

edgecl_session_config Model::default_config() const {
  auto config = sized<edgecl_session_config>();
  const edgecl_status status = edgecl_session_config_init(handle(), &config);
  if (status != EDGECL_OK)
    raise_status(status, "expected a recipe in the bundle; found none; please report it with build_info()");
  return config;
}

py::dict Model::sizes(const py::dict& keywords) const {
  edgecl_session_config config = default_config();
  apply_config(keywords, &config);
  auto sizes = sized<edgecl_sizes>();
  ErrorRecord error;
  check(edgecl_session_sizes(handle(), &config, &sizes, &error), error);
  return sizes_dict(sizes);
}

py::dict Model::sizes_for(const std::string& level, uint32_t pointer_bytes, const py::dict& keywords) const {
  edgecl_session_config config = default_config();
  apply_config(keywords, &config);
  auto sizes = sized<edgecl_sizes>();
  auto target = sized<edgecl_target>();
  target.level = level.c_str();
  target.pointer_bytes = pointer_bytes;
  ErrorRecord error;
  check(edgecl_session_sizes_for(handle(), &config, &target, &sizes, &error), error);
  return sizes_dict(sizes);
}

py::dict sizes_dict(const edgecl_sizes& s) {
  py::dict d;
  d["arena_alignment"] = s.arena_alignment;
  d["arena_bytes"] = s.arena_bytes;
  d["learnable_bytes"] = s.learnable_bytes;
  d["replay_bytes"] = s.replay_bytes;
  d["learn_bytes"] = s.learn_bytes;
  d["predict_bytes"] = s.predict_bytes;
  d["scratch_bytes"] = s.scratch_bytes;
  d["state_bytes_max"] = s.state_bytes_max;
  return d;
}

void bind_model(py::module_& module) {
  py::class_<Model, std::shared_ptr<Model>>(module, "Model", "An opened bundle; shareable by threads.")
      .def(py::init<const py::object&, const py::object&>(), py::arg("path") = py::none(), py::arg("data") = py::none())
      .def("describe", &Model::describe)
      .def("layers", &Model::layers)
      .def("ops", &Model::ops)
      .def("encoder", &Model::encoder)
      .def("encoder_file", &Model::encoder_file)
      .def("encoder_probe", &Model::encoder_probe)
      .def("config_from_state", &Model::config_from_state, py::arg("data"))
      .def("migrate", &Model::migrate, py::arg("data"), py::arg("to"))
      .def("default_config", [](const Model& model) { return config_dict(model.default_config()); })
      .def("sizes", [](const Model& model, const py::kwargs& config) { return model.sizes(config); })
      .def("sizes_for", [](const Model& model, const std::string& level, uint32_t pointer_bytes,
                           const py::kwargs& config) { return model.sizes_for(level, pointer_bytes, config); })
      .def("close", &Model::close);
  module.def(
      "verify_bundle",
      [](const py::buffer& data, const py::object& public_key) {
        const py::buffer_info view = data.request();
        const size_t n_bytes = static_cast<size_t>(view.size * view.itemsize);
        std::string key;
        if (!public_key.is_none()) {
          key = py::cast<std::string>(public_key);
          if (key.size() != 32) {
            raise_status(EDGECL_E_ARGUMENT, "expected a public key of 32 bytes; found " + std::to_string(key.size()) +
                                                "; pass the raw Ed25519 public key");
          }
        }
        AlignedBytes copy;
        const void* bytes = view.ptr;
        if (n_bytes == 0 || !is_aligned(bytes)) {
          copy = aligned_copy(bytes, n_bytes);
          bytes = copy.get();
        }
        auto options = sized<edgecl_open_options>();
        options.public_key = key.empty() ? nullptr : reinterpret_cast<const uint8_t*>(key.data());
        ErrorRecord error;
        edgecl_status status;
        {
          const py::gil_scoped_release release;
          status = edgecl_bundle_verify(bytes, n_bytes, &options, &error);
        }
        check(status, error);
      },
      py::arg("data"), py::arg("public_key") = py::none());
}

}  // namespace edgecl::python
