// Status: an edgecl_status with the parts of the sentence that explains it, by value and small.
// Never here: exceptions, logging, knowledge of what failed.
#ifndef EDGECL_RUNTIME_CORE_STATUS_H_
#define EDGECL_RUNTIME_CORE_STATUS_H_

#include <stddef.h>
#include <stdint.h>

#include "runtime/include/edgecl/edgecl.h"

namespace edgecl {

// Result of a fallible function. The sentence of a failure has three parts: what was expected, what was found, what to
// do. It is put together once, where it leaves the library (write_message, report); until then a Status holds the
// format and its arguments. So format and strings must outlive the Status: literals, names in the bundle, the caller's
// own strings. A function that releases what a string lies in writes the sentence first. In a build without messages
// (EDGECL_MESSAGES=OFF, for small firmware) it is the code alone.
#if defined(EDGECL_NO_MESSAGES)
struct Status {
  edgecl_status code;
  Status() : code(EDGECL_OK) {}
  bool ok() const { return code == EDGECL_OK; }
  Status& in_section(const char*) { return *this; }
  Status& in_field(const char*) { return *this; }
};
#else
struct Status {
  static constexpr uint32_t kMaxArguments = 6;
  static constexpr uint32_t kNoRecord = 0xffffffffu;

  edgecl_status code;
  // Of a failure only; of its arguments those that the format has. So success costs one store.
  uint32_t record;
  const char* section;  // not null: the sentence begins with the place in the bundle
  const char* field;
  const char* format;
  uint64_t arguments[kMaxArguments];  // numbers widened, strings as their addresses

  Status() : code(EDGECL_OK) {}  // NOLINT(clang-analyzer-optin.cplusplus.UninitializedObject)
  Status(const Status& other);   // not inline: hundreds of places hand a failure on
  Status& operator=(const Status& other);
  bool ok() const { return code == EDGECL_OK; }
  Status& in_section(const char* name) { return section = name, *this; }
  Status& in_field(const char* name) { return field = name, *this; }
};
static_assert(sizeof(Status) <= 96, "a status travels by value");
#endif

// A failure with a sentence. Conversions: %s, %.Ns, %c, %d, %u, %x, the last three also with z, l or ll. At most six.
#if defined(EDGECL_NO_MESSAGES)
Status failed_with(edgecl_status code);  // cold: hundreds of places call it
template <class... Arguments>
inline Status failure(edgecl_status code, const char*, const Arguments&...) {
  return failed_with(code);
}
#else
__attribute__((format(printf, 2, 3), cold)) Status failure(edgecl_status code, const char* format, ...);
#endif

// E_BUNDLE_CORRUPT: "bundle section OPS, record 3, field stride_h: expected ..., found ...; export the model again".
// record kNoRecord: a section of one record.
#if defined(EDGECL_NO_MESSAGES)
template <class... Arguments>
inline Status corrupt(const char*, uint32_t, const char*, const char*, const Arguments&...) {
  return failed_with(EDGECL_E_BUNDLE_CORRUPT);
}
#else
__attribute__((format(printf, 4, 5), cold)) Status corrupt(const char* section, uint32_t record, const char* field,
                                                           const char* format, ...);
#endif

// The sentence into `buffer`, cut at its end but never inside a UTF-8 character. capacity >= 1. Empty for success.
void write_message(const Status& status, char* buffer, size_t capacity);

// Puts code and sentence of a failure into the caller's error record, when there is one. Returns the code.
edgecl_status report(const Status& status, edgecl_error* err);

}  // namespace edgecl

// Returns from the enclosing function when `expression` (a Status) failed.
#define EDGECL_RETURN_IF_FAILED(expression)          \
  do {                                               \
    ::edgecl::Status status_of_step = (expression);  \
    if (!status_of_step.ok()) return status_of_step; \
  } while (0)

#endif  // EDGECL_RUNTIME_CORE_STATUS_H_
