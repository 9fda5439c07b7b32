// Errors by status, and the checks that turn numpy arrays into batches without copying.
// Never here: bindings of a class.
#include "runtime/python/bind_common.h"

#include <cstring>
#include <limits>

namespace edgecl::python {

void raise_status(edgecl_status status, const std::string& message, int64_t n_done) {
  const py::object count = n_done < 0 ? py::object(py::none()) : py::object(py::int_(n_done));
  const py::str text(PyUnicode_DecodeUTF8(message.data(), static_cast<Py_ssize_t>(message.size()), "replace"));
  const py::object error = py::module_::import("edgecl.errors").attr("from_status")(status, text, count);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
  throw py::error_already_set();
}

void raise_if_closed() {
  raise_status(EDGECL_E_SEQUENCE, "expected an open object; found a closed one; open the bundle again");
}

AlignedBytes aligned_room(size_t n_bytes) {
  AlignedBytes room(static_cast<uint8_t*>(std::aligned_alloc(64, (n_bytes + 64) / 64 * 64)));
  if (!room) raise_status(EDGECL_E_NO_MEMORY, "expected memory for the bundle; found none; free some");
  return room;
}

AlignedBytes aligned_copy(const void* bytes, size_t n_bytes) {
  AlignedBytes copy = aligned_room(n_bytes);
  if (n_bytes != 0) std::memcpy(copy.get(), bytes, n_bytes);
  return copy;
}

namespace {

std::string shape_text(const std::vector<int64_t>& dims, const char* first) {
  std::string text = std::string("(") + first;
  for (const int64_t d : dims) text += (text.size() > 1 ? ", " : "") + std::to_string(d);
  return text + ")";
}

std::vector<int64_t> without_ones(const std::vector<int64_t>& dims) {
  std::vector<int64_t> kept;
  for (const int64_t d : dims) {
    if (d != 1) kept.push_back(d);
  }
  return kept;
}

// Dimensions of 1 are ignored; a flat sample fits a bundle of as many elements and the other way round. Nothing else
// fits, so that height x width x channels is never mistaken for channels x height x width.
bool shape_fits(const std::vector<int64_t>& sample, const std::vector<int64_t>& wanted) {
  int64_t n_sample = 1, n_wanted = 1;
  for (const int64_t d : sample) n_sample *= d;
  for (const int64_t d : wanted) n_wanted *= d;
  if (n_sample != n_wanted) return false;
  const std::vector<int64_t> a = without_ones(sample), b = without_ones(wanted);
  return a == b || a.size() <= 1 || b.size() <= 1;
}

}  // namespace

edgecl_batch Samples::slice(uint32_t begin, uint32_t count) const {
  edgecl_batch part = batch;
  const size_t row_bytes =
      static_cast<size_t>(batch.elements_per_sample) * (batch.dtype == EDGECL_U8 ? 1 : sizeof(float));
  part.data = static_cast<const uint8_t*>(batch.data) + begin * row_bytes;
  part.n_samples = count;
  return part;
}

Samples samples_from(const py::array& x, const edgecl_model_info& info) {
  const bool bytes = info.input_dtype == EDGECL_U8;
  const py::dtype wanted = bytes ? py::dtype::of<uint8_t>() : py::dtype::of<float>();
  if (!x.dtype().is(wanted) && !x.dtype().equal(wanted)) {
    raise_status(EDGECL_E_DTYPE, std::string("expected samples of dtype ") + (bytes ? "uint8" : "float32") +
                                     "; found " + py::cast<std::string>(py::str(x.dtype())) +
                                     "; convert the array to the dtype of the bundle");
  }
  std::vector<int64_t> sample, dims;
  for (py::ssize_t i = 1; i < x.ndim(); ++i) sample.push_back(x.shape(i));
  for (uint32_t i = 0; i < info.input_rank; ++i) dims.push_back(info.input_dims[i]);
  if (x.ndim() < 1 || !shape_fits(sample, dims)) {
    std::vector<int64_t> shape(x.shape(), x.shape() + x.ndim());
    raise_status(EDGECL_E_SHAPE, "expected samples of shape " + shape_text(dims, "n") + "; found an array of shape " +
                                     shape_text(shape, "") +
                                     "; reshape or transpose it (one sample alone needs a leading axis of 1)");
  }
  if (x.shape(0) > std::numeric_limits<uint32_t>::max()) {
    raise_status(EDGECL_E_SHAPE, "expected fewer than 2^32 rows; found more; hand them in pieces");
  }
  Samples result;
  result.array = py::array::ensure(x, py::array::c_style);  // the same object when it is contiguous already
  if (!result.array) throw py::error_already_set();
  result.n_rows = static_cast<uint32_t>(x.shape(0));
  result.batch = sized<edgecl_batch>();
  result.batch.dtype = info.input_dtype;
  result.batch.n_samples = result.n_rows;
  result.batch.data = result.array.data();
  result.batch.elements_per_sample = info.input_elements;
  return result;
}

std::vector<int32_t> labels_from(const py::array& labels, uint32_t n_rows) {
  const char kind = labels.dtype().kind();
  if (kind != 'i' && kind != 'u') {
    raise_status(EDGECL_E_DTYPE, "expected integer labels (int32); found " +
                                     py::cast<std::string>(py::str(labels.dtype())) +
                                     "; map the class names to the columns that class_add returned");
  }
  if (labels.ndim() != 1 || static_cast<uint64_t>(labels.shape(0)) != n_rows) {
    std::vector<int64_t> shape(labels.shape(), labels.shape() + labels.ndim());
    raise_status(EDGECL_E_SHAPE, "expected one label a row, shape (" + std::to_string(n_rows) + ",); found " +
                                     shape_text(shape, "") + "; pass equally many of both");
  }
  const auto wide = py::array_t < int64_t, py::array::c_style | py::array::forcecast > ::ensure(labels);
  std::vector<int32_t> result(n_rows);
  for (uint32_t i = 0; i < n_rows; ++i) {
    const int64_t value = wide.at(i);
    if (value < 0 || value > std::numeric_limits<int32_t>::max()) {
      raise_status(EDGECL_E_NOT_FOUND, "expected labels that class_add returned; found " + std::to_string(value) +
                                           " in row " + std::to_string(i) + "; correct it");
    }
    result[i] = static_cast<int32_t>(value);
  }
  return result;
}

std::string shown(const py::handle& value) {
  constexpr size_t kMost = 80;
  const py::object text = py::reinterpret_steal<py::object>(PyObject_Repr(value.ptr()));
  if (!text) {  // an int of thousands of digits has none
    PyErr_Clear();
    return std::string("a value of type ") + Py_TYPE(value.ptr())->tp_name;
  }
  const std::string whole = py::cast<std::string>(
      py::reinterpret_steal<py::bytes>(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "backslashreplace")));
  return whole.size() <= kMost ? whole : whole.substr(0, kMost) + "...";
}

uint64_t integer_argument(const char* name, const py::handle& value, uint64_t low, uint64_t high) {
  const py::object index = py::reinterpret_steal<py::object>(PyNumber_Index(value.ptr()));
  const unsigned long long number = index ? PyLong_AsUnsignedLongLong(index.ptr()) : 0;
  const bool bad = PyErr_Occurred() != nullptr;
  PyErr_Clear();
  if (bad || number < low || number > high) {
    raise_status(EDGECL_E_ARGUMENT, "expected an integer in " + std::to_string(low) + ".." + std::to_string(high) +
                                        " for '" + name + "'; found " + shown(value) + "; correct the value");
  }
  return number;
}

double number_argument(const char* name, const py::handle& value) {
  const double number = PyFloat_AsDouble(value.ptr());
  if (PyErr_Occurred() != nullptr) {
    PyErr_Clear();
    raise_status(EDGECL_E_ARGUMENT,
                 std::string("expected a number for '") + name + "'; found " + shown(value) + "; correct the value");
  }
  return number;
}

std::string hex(const uint8_t* bytes, size_t n) {
  static const char kDigits[] = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < n; ++i) {
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 15];
  }
  return text;
}

const char* name_of(const char* const* names, uint32_t value) {
  for (uint32_t i = 0; names[i] != nullptr; ++i) {
    if (i == value) return names[i];
  }
  return "unknown";
}

}  // namespace edgecl::python
