// Model: an opened bundle with its bytes, as the extension module holds it.
// Never here: sessions; Python objects other than what a method returns.
#ifndef EDGECL_RUNTIME_PYTHON_MODEL_H_
#define EDGECL_RUNTIME_PYTHON_MODEL_H_

#include <string>

#include "runtime/python/bind_common.h"

namespace edgecl::python {

class Model {
 public:
  class Use;

  Model(const py::object& path, const py::object& data);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  py::dict describe() const;
  py::dict recipe() const;
  py::list layers() const;
  py::list ops() const;
  // The external encoder without its file; None without one. bind_encoder.cpp
  py::object encoder() const;
  py::bytes encoder_file() const;
  py::array encoder_probe() const;
  edgecl_session_config default_config() const;
  py::tuple migrate(const py::buffer& data, const Model& to) const;
  py::dict config_from_state(const py::buffer& data) const;
  py::dict sizes(const py::dict& keywords) const;
  // Of a session on another machine.
  py::dict sizes_for(const std::string& level, uint32_t pointer_bytes, const py::dict& keywords) const;
  void close();

  edgecl_model* handle() const;
  const edgecl_model_info& info() const { return info_; }

 private:
  AlignedBytes bytes_;  // a copy: the file may be overwritten while the model is open
  edgecl_model* model_ = nullptr;
  edgecl_model_info info_{};
  mutable uint32_t n_uses_ = 0;  // calls in progress without the GIL; changed with it
};

// Keeps a model open while a call uses it without the GIL. Made and ended with the GIL held.
class Model::Use {
 public:
  explicit Use(const Model* model) : model_(model), handle_(model->handle()) { ++model->n_uses_; }
  ~Use() { --model_->n_uses_; }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  edgecl_model* handle() const { return handle_; }

 private:
  const Model* model_;
  edgecl_model* handle_;
};

// One section of a bundle that was verified when it was opened; nothing is checked again. Null when it has no such
// section.
const uint8_t* bundle_section(const uint8_t* bytes, uint32_t type, uint64_t* n_bytes);

py::dict sizes_dict(const edgecl_sizes& sizes);

}  // namespace edgecl::python

#endif  // EDGECL_RUNTIME_PYTHON_MODEL_H_
