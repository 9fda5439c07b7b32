// A bundle that is read once: signature and contents are checked on the bytes that are then used.
// Never here: sessions.
#ifndef EDGECL_RUNTIME_RUNNER_CHECKED_BUNDLE_H_
#define EDGECL_RUNTIME_RUNNER_CHECKED_BUNDLE_H_

#include <stddef.h>
#include <stdint.h>

#include "edgecl/edgecl.h"

// A sentence about what went wrong; the last part of what does not fit is cut.
typedef struct Reason {
  char text[640];
} Reason;

void say(Reason* reason, const char* format, ...) __attribute__((format(printf, 2, 3)));

typedef struct CheckedBundle {
  void* bytes;
  edgecl_model* model;
  edgecl_model_info info;
  char digest[65];      // of the content, in hexadecimal digits
  uint64_t release;     // counter of the signature; 0: not signed, or not counted
  size_t sample_bytes;  // of one row
} CheckedBundle;

// `key` NULL: any signature, or none. Returns an exit code (failures.h) with the reason.
int checked_bundle_open(const char* path, const uint8_t* key, CheckedBundle* bundle, Reason* reason);
void checked_bundle_close(CheckedBundle* bundle);

#endif
