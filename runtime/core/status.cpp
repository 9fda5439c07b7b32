// Formatting of failure messages.
// Never here: the wording of any failure.
#include "runtime/core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

namespace edgecl {

Status failure(edgecl_status code, const char* format, ...) {
  Status status;
  status.code = code;
  va_list arguments;
  va_start(arguments, format);
  const int wanted = vsnprintf(status.message, sizeof status.message, format, arguments);
  va_end(arguments);
  if (wanted >= static_cast<int>(sizeof status.message)) {
    // Names in messages are UTF-8: a cut must not leave the head of a character behind.
    size_t end = sizeof status.message - 1;
    size_t head = end;
    while (head > 0 && (static_cast<unsigned char>(status.message[head - 1]) & 0xc0) == 0x80) head--;
    if (head > 0 && (static_cast<unsigned char>(status.message[head - 1]) & 0x80) != 0) {
      const unsigned char first = static_cast<unsigned char>(status.message[head - 1]);
      const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
      if (head - 1 + length > end) end = head - 1;
    }
    status.message[end] = '\0';
  }
  return status;
}

edgecl_status report(const Status& status, edgecl_error* err) {
  if (err == nullptr) return status.code;
  // The caller's struct may be an older, shorter one: write only what it says it has.
  const size_t room = err->struct_size;
  if (room >= offsetof(edgecl_error, status) + sizeof err->status) err->status = status.code;
  if (room > offsetof(edgecl_error, message)) {
    size_t capacity = room - offsetof(edgecl_error, message);
    if (capacity > sizeof err->message) capacity = sizeof err->message;
    const size_t length = strnlen(status.message, capacity - 1);
    memcpy(err->message, status.message, length);
    err->message[length] = '\0';
  }
  return status.code;
}

}  // namespace edgecl
