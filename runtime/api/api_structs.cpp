// Check of struct sizes and pointers.
// Never here: fields of particular structs.
#include "runtime/api/api_structs.h"

namespace edgecl::api {

Status check_pointer(const void* pointer, const char* name) {
  if (pointer) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected a pointer for %s; found NULL; pass one", name);
}

Status check_stride(size_t stride, const char* name, const char* element) {
  if (stride >= sizeof(uint32_t) && stride % alignof(uint32_t) == 0) return Status();
  return failure(EDGECL_E_ARGUMENT, "expected %s = sizeof(%s); found %zu; pass that size", name, element, stride);
}

bool good_error(const edgecl_error* err) {
  return err == nullptr || check_struct(err, "edgecl_error").ok();
}

Status check_struct(const void* object, size_t known_bytes, const char* name) {
  EDGECL_RETURN_IF_FAILED(check_pointer(object, name));
  uint32_t size;
  memcpy(&size, object, sizeof size);
  if (size < sizeof size) {
    return failure(EDGECL_E_ARGUMENT, "expected struct_size = sizeof(%s); found %u; set it before the call", name,
                   size);
  }
  const uint8_t* bytes = static_cast<const uint8_t*>(object);
  for (size_t i = known_bytes; i < size; i++) {
    if (bytes[i] != 0) {
      return failure(
          EDGECL_E_ARGUMENT,
          "expected %s of at most %zu bytes, or zeros behind them; found a field that this library does not know; "
          "use a newer library or clear the field",
          name, known_bytes);
    }
  }
  return Status();
}

}  // namespace edgecl::api
