// What all parts of the extension module share: errors by status, sample arrays, clocks.
// Never here: bindings of a class, numerics.
#ifndef EDGECL_RUNTIME_PYTHON_BIND_COMMON_H_
#define EDGECL_RUNTIME_PYTHON_BIND_COMMON_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <stddef.h>
#include <stdint.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "runtime/include/edgecl/edgecl.h"

namespace edgecl::python {

namespace py = pybind11;

// Raises the class of edgecl.errors that belongs to the status. n_done < 0 means: not a call of many steps. Needs the
// GIL.
[[noreturn]] void raise_status(edgecl_status status, const std::string& message, int64_t n_done = -1);
[[noreturn]] void raise_if_closed();

// An error record ready for a C call, and the raise that follows when it failed.
struct ErrorRecord : edgecl_error {
  ErrorRecord() : edgecl_error{} { struct_size = sizeof(edgecl_error); }
};
inline void check(edgecl_status status, const edgecl_error& error) {
  if (status != EDGECL_OK) raise_status(status, error.message);
}

// A C parameter struct, zeroed, with its size set.
template <class T>
T sized() {
  T value{};
  value.struct_size = sizeof(T);
  return value;
}

// 64-byte aligned memory for bundle bytes that came unaligned.
struct FreeDeleter {
  void operator()(void* memory) const { std::free(memory); }
};
using AlignedBytes = std::unique_ptr<uint8_t, FreeDeleter>;
AlignedBytes aligned_room(size_t n_bytes);
AlignedBytes aligned_copy(const void* bytes, size_t n_bytes);
inline bool is_aligned(const void* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % 64 == 0;
}

// Rows of samples of the bundle's dtype and shape. The array keeps the memory alive; it is the caller's own where that
// is C-contiguous.
struct Samples {
  py::array array;
  uint32_t n_rows = 0;
  edgecl_batch batch{};

  // Rows begin .. begin + count as a batch of their own.
  edgecl_batch slice(uint32_t begin, uint32_t count) const;
};
Samples samples_from(const py::array& x, const edgecl_model_info& info);

// One int32 label a row; any integer dtype whose values fit.
std::vector<int32_t> labels_from(const py::array& labels, uint32_t n_rows);

// Arguments that may be anything: a value of the wrong kind or out of its range is an ArgumentError that names the
// argument.
uint64_t integer_argument(const char* name, const py::handle& value, uint64_t low, uint64_t high);
double number_argument(const char* name, const py::handle& value);
// repr() of a value for an error text: shortened, and never an error itself.
std::string shown(const py::handle& value);

std::string hex(const uint8_t* bytes, size_t n);
// Of one of the lists of runtime/core/recipe.h.
const char* name_of(const char* const* names, uint32_t value);

void bind_model(py::module_& module);
void bind_operators(py::module_& module);
void bind_recipe(py::module_& module);
void bind_removal(py::module_& module);
void bind_session(py::module_& module);
void bind_writer(py::module_& module);
void bind_state(py::module_& module);

}  // namespace edgecl::python

#endif  // EDGECL_RUNTIME_PYTHON_BIND_COMMON_H_
