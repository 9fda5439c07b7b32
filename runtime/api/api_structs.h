// The struct_size rule of the C API: reading and writing the common prefix of a caller's struct.
// Never here: what the structs mean.
#ifndef EDGECL_RUNTIME_API_API_STRUCTS_H_
#define EDGECL_RUNTIME_API_API_STRUCTS_H_

#include <stdint.h>
#include <string.h>

#include "runtime/core/status.h"

namespace edgecl::api {

// NULL, a size too small to hold itself, and a larger struct whose tail this library does not know but which is not
// zero.
Status check_struct(const void* object, size_t known_bytes, const char* name);

template <class T>
Status check_struct(const T* object, const char* name) {
  return check_struct(static_cast<const void*>(object), sizeof(T), name);
}
// The same for an error record, which may be NULL; it cannot hold a sentence about itself.
bool good_error(const edgecl_error* err);

// The caller's fields over those of `to`, which keeps its own where a shorter struct has none. Precondition:
// check_struct succeeded.
template <class T>
void read_over(const T* from, T* to) {
  const size_t theirs = from->struct_size;
  memcpy(to, from, theirs < sizeof *to ? theirs : sizeof *to);
  to->struct_size = sizeof *to;
}

// The caller's struct as this library knows it; fields that a shorter one lacks are zero. Precondition: check_struct
// succeeded.
template <class T>
T read_struct(const T* from) {
  T to;
  memset(&to, 0, sizeof to);
  read_over(from, &to);
  return to;
}

// Writes as much as the caller's struct has room for, and leaves its struct_size. Precondition: check_struct succeeded.
template <class T>
void write_struct(const T& from, T* to) {
  constexpr size_t kHead = sizeof(uint32_t);
  const size_t theirs = to->struct_size;
  const size_t n = theirs < sizeof from ? theirs : sizeof from;
  memcpy(reinterpret_cast<uint8_t*>(to) + kHead, reinterpret_cast<const uint8_t*>(&from) + kHead, n - kHead);
}

// The same for an optional struct: NULL and a shorter one read as zero.
template <class T>
Status read_optional(const T* from, const char* name, T* to) {
  memset(to, 0, sizeof *to);
  to->struct_size = sizeof *to;
  if (from == nullptr) return Status();
  EDGECL_RETURN_IF_FAILED(check_struct(from, name));
  read_over(from, to);
  return Status();
}

// An array of the caller's whose elements may be shorter or longer than ours.
struct Elements {
  uint8_t* first;
  size_t stride;

  template <class T>
  void write(size_t index, const T& element) const {
    memcpy(first + index * stride, &element, stride < sizeof element ? stride : sizeof element);
  }
};
// E_ARGUMENT unless the stride has room for the first field at least (4 bytes).
Status check_stride(size_t stride, const char* name, const char* element);

// E_ARGUMENT that names a parameter which may not be NULL.
Status check_pointer(const void* pointer, const char* name);

}  // namespace edgecl::api

#endif  // EDGECL_RUNTIME_API_API_STRUCTS_H_
