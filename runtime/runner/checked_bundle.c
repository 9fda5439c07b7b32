// One read into aligned memory, which the model then uses in place.
// Never here: mapped files, which may change under the model.
#include "checked_bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "failures.h"
#include "signature.h"

static const off_t kMostBytes = (off_t)1 << 30;

void say(Reason* reason, const char* format, ...) {
  va_list values;
  va_start(values, format);
  vsnprintf(reason->text, sizeof reason->text, format, values);
  va_end(values);
}

static int read_whole(int file, uint8_t* bytes, size_t n) {
  while (n > 0) {
    const ssize_t got = read(file, bytes, n);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return 0;
    bytes += got;
    n -= (size_t)got;
  }
  return 1;
}

// Aligned to 64, as the library wants a bundle that it uses in place.
static int read_aligned(const char* path, void** bytes, size_t* n_bytes, Reason* reason) {
  struct stat about;
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0 || fstat(file, &about) != 0) {
    say(reason, "expected to read \"%s\"; found: %s; name a bundle", path, strerror(errno));
    if (file >= 0) close(file);
    return kInput;
  }
  if (!S_ISREG(about.st_mode) || about.st_size < 1 || about.st_size > kMostBytes) {
    say(reason, "expected a bundle of at most 2^30 bytes in \"%s\"; found no such file; name a bundle", path);
    close(file);
    return kInput;
  }
  *n_bytes = (size_t)about.st_size;
  *bytes = aligned_alloc(64, (*n_bytes + 63) / 64 * 64);
  int code = kDone;
  if (*bytes == NULL) {
    say(reason, "expected memory for \"%s\"; found none", path);
    code = kInternal;
  } else if (!read_whole(file, *bytes, *n_bytes)) {
    say(reason, "expected to read all of \"%s\"; found an end before it; copy it again", path);
    code = kInput;
  }
  close(file);
  return code;
}

int checked_bundle_open(const char* path, const uint8_t* key, CheckedBundle* bundle, Reason* reason) {
  memset(bundle, 0, sizeof *bundle);
  size_t n_bytes = 0;
  int code = read_aligned(path, &bundle->bytes, &n_bytes, reason);
  if (code == kDone) {
    const char* why = signature_check(bundle->bytes, n_bytes, key, &bundle->release);
    if (why != NULL && key != NULL) {
      say(reason,
          "EDGECL_E_BUNDLE_SIGNATURE: expected a bundle that this device's key signed; found %s; sign it with "
          "that key (edgecl sign)",
          why);
      code = kNo;
    }
  }
  if (code == kDone) {
    const edgecl_open_options options = {.struct_size = sizeof options, .placement = EDGECL_PLACEMENT_IN_PLACE};
    edgecl_error err = {.struct_size = sizeof err};
    bundle->info.struct_size = sizeof bundle->info;
    edgecl_status status = edgecl_model_open_memory(bundle->bytes, n_bytes, &options, &bundle->model, &err);
    if (status == EDGECL_OK) status = edgecl_model_describe(bundle->model, &bundle->info);
    if (status != EDGECL_OK) say(reason, "%s: %s", edgecl_status_name(status), err.message);
    code = code_of(status);
  }
  if (code != kDone) return checked_bundle_close(bundle), code;
  for (int i = 0; i < 32; i++) snprintf(bundle->digest + 2 * i, 3, "%02x", bundle->info.digest[i]);
  bundle->sample_bytes = (size_t)bundle->info.input_elements * (bundle->info.input_dtype == EDGECL_U8 ? 1 : 4);
  return kDone;
}

void checked_bundle_close(CheckedBundle* bundle) {
  if (bundle->model != NULL && edgecl_model_close(bundle->model) != EDGECL_OK) return;  // a session lives: a defect
  free(bundle->bytes);
  memset(bundle, 0, sizeof *bundle);
}
