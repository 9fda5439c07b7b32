// What the failures are called, and the exit code of each.
// Never here: what led to them.
#include "failures.h"

#include <stdio.h>

int code_of(edgecl_status status) {
  switch (status) {
    case EDGECL_OK:
      return kDone;
    case EDGECL_E_BUNDLE_SIGNATURE:
      return kNo;
    case EDGECL_E_ARGUMENT:
    case EDGECL_E_SEQUENCE:
    case EDGECL_E_UNSUPPORTED:
      return kUsage;
    case EDGECL_E_NO_MEMORY:
    case EDGECL_E_ARENA_TOO_SMALL:
    case EDGECL_E_INTERNAL:
      return kInternal;
    default:
      return kInput;
  }
}

int no_memory(const char* what) {
  fprintf(stderr, "edgecl-run: %s: expected memory; found none; ask for less\n", what);
  return kInternal;
}

int library_failed(const char* what, edgecl_status status, const char* sentence) {
  fprintf(stderr, "edgecl-run: %s: %s: %s\n", what, edgecl_status_name(status), sentence);
  return code_of(status);
}

int not_written(const char* path, const char* reason) {
  fprintf(stderr,
          "edgecl-run: expected to write \"%s\"; found: %s; name a file in a folder that can be written and has free "
          "space\n",
          path, reason);
  return kInput;
}
