// Status: an edgecl_status with the sentence that explains it, in a fixed buffer (no heap).
// Never here: exceptions, logging, knowledge of what failed.
#ifndef EDGECL_RUNTIME_CORE_STATUS_H_
#define EDGECL_RUNTIME_CORE_STATUS_H_

#include <stddef.h>

#include "runtime/include/edgecl/edgecl.h"

namespace edgecl {

// Result of a fallible function. Success carries an empty message. The message of a failure has three parts: what was
// expected, what was found, what to do. About 512 bytes: return it by value, but not from loops that run per sample.
struct Status {
  edgecl_status code;
  char message[sizeof(edgecl_error::message)];

  Status() : code(EDGECL_OK) { message[0] = '\0'; }
  bool ok() const { return code == EDGECL_OK; }
};

// A failure with a printf-like message, cut at the size of the buffer (never inside a UTF-8 character).
// Floating-point conversions are not used in our messages: some C libraries allocate for them.
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3), cold))
#endif
Status
failure(edgecl_status code, const char* format, ...);

// Copies code and message into the caller's error record, when there is one. Returns the code.
edgecl_status report(const Status& status, edgecl_error* err);

}  // namespace edgecl

// Returns from the enclosing function when `expression` (a Status) failed.
#define EDGECL_RETURN_IF_FAILED(expression)          \
  do {                                               \
    ::edgecl::Status status_of_step = (expression);  \
    if (!status_of_step.ok()) return status_of_step; \
  } while (0)

#endif  // EDGECL_RUNTIME_CORE_STATUS_H_
