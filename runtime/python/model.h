// Model: an opened bundle with its bytes, as the extension module holds it.
// Never here: sessions; Python objects other than what a method returns.
#ifndef EDGECL_RUNTIME_PYTHON_MODEL_H_
#define EDGECL_RUNTIME_PYTHON_MODEL_H_

#include <string>

#include "runtime/python/bind_common.h"

namespace edgecl::python {

// A file mapped read-only for as long as the object lives.
class MappedFile {
 public:
  // FileError with the system's own words.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const void* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

class Model {
 public:
  Model(const py::object& path, const py::object& data);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  py::dict describe() const;
  py::list layers() const;
  py::list ops() const;
  edgecl_session_config default_config() const;
  py::dict sizes(const py::dict& keywords) const;
  // Of a session on another machine.
  py::dict sizes_for(const std::string& level, uint32_t pointer_bytes, const py::dict& keywords) const;
  void close();

  edgecl_model* handle() const;
  // Parameters as shipped, by index: names and dense float32 arrays in the bundle's dims; and for each batch norm with
  // running statistics the indices of its mean and variance, by operator.
  py::tuple shipped_parameters() const;
  const edgecl_model_info& info() const { return info_; }

 private:
  std::unique_ptr<MappedFile> file_;  // either this
  AlignedBytes copy_;                 // or this holds the bytes
  const uint8_t* bytes_ = nullptr;
  edgecl_model* model_ = nullptr;
  edgecl_model_info info_{};
};

// One section of a bundle that was verified when it was opened; nothing is checked again. Null when it has no such
// section.
const uint8_t* bundle_section(const uint8_t* bytes, uint32_t type, uint64_t* n_bytes);

py::dict sizes_dict(const edgecl_sizes& sizes);

}  // namespace edgecl::python

#endif  // EDGECL_RUNTIME_PYTHON_MODEL_H_
