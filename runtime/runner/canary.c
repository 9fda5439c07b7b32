// Row by row, so that a session of any batch size will do.
// Never here: samples of its own.
#include "canary.h"

#include <stdlib.h>
#include <string.h>

#include "failures.h"
#include "npy.h"

enum { kHeaderBytes = 64, kMostRows = 4096, kHasLabels = 1 };

static uint64_t number(const uint8_t* at, int n_bytes) {
  uint64_t value = 0;
  for (int i = n_bytes - 1; i >= 0; i--) value = value << 8 | at[i];
  return value;
}

const char* canary_parse(const uint8_t* file, size_t n, const CheckedBundle* bundle, int own, Canary* c) {
  memset(c, 0, sizeof *c);
  if (n < kHeaderBytes || memcmp(file, "ECC1", 4) != 0) return "none";
  c->rows = (uint32_t)number(file + 4, 4);
  c->dtype = (uint32_t)number(file + 8, 4);
  c->columns = (uint32_t)number(file + 12, 4);
  c->elements = number(file + 16, 8);
  c->sample_bytes = bundle->sample_bytes;
  const uint64_t flags = number(file + 24, 4);
  if (own && memcmp(file + 32, bundle->info.digest, 32) != 0) return "that of another one";
  if (c->rows < 1 || c->rows > kMostRows || c->dtype != bundle->info.input_dtype || flags > kHasLabels ||
      (own && c->columns != bundle->info.class_capacity) || c->columns > 65536 ||
      c->elements != bundle->info.input_elements) {
    return "other dimensions";
  }
  const uint64_t samples = ((uint64_t)c->rows * c->sample_bytes + 3) / 4 * 4;
  const uint64_t logits = (uint64_t)c->rows * c->columns * 4, labels = flags == kHasLabels ? (uint64_t)c->rows * 4 : 0;
  if (n != kHeaderBytes + samples + logits + labels) return "another length";
  c->samples = file + kHeaderBytes;
  c->logits = c->samples + samples;
  c->labels = labels > 0 ? c->logits + logits : NULL;
  // Another bundle's canary is only counted: there a label that this one has no column for is a miss.
  for (uint32_t row = 0; own && c->labels != NULL && row < c->rows; row++) {
    if (number(c->labels + (size_t)row * 4, 4) >= c->columns) return "a label beyond its classes";
  }
  return NULL;
}

int canary_read(const char* path, const CheckedBundle* bundle, int own, Canary* c, Reason* reason) {
  size_t n = 0;
  void* file = read_file(path, &n);
  const char* why = file == NULL ? "none that can be read" : canary_parse(file, n, bundle, own, c);
  if (why == NULL) return c->file = file, kDone;
  free(file);
  memset(c, 0, sizeof *c);
  say(reason, "expected a canary file of this bundle in \"%s\"; found %s; deploy again", path, why);
  return kInput;
}

edgecl_batch canary_row(const Canary* c, uint32_t row) {
  const edgecl_batch batch = {sizeof batch, c->dtype, 1,   0, c->samples + (size_t)row * c->sample_bytes,
                              c->elements,  NULL,     NULL};
  return batch;
}

int canary_compare(edgecl_session* session, const Canary* c, Reason* reason) {
  float* out = malloc((size_t)c->columns * 4);
  if (out == NULL) return say(reason, "expected memory for the canary; found none"), kInternal;
  int code = kDone;
  for (uint32_t row = 0; row < c->rows && code == kDone; row++) {
    const edgecl_batch batch = canary_row(c, row);
    const edgecl_status status = edgecl_logits(session, &batch, out, c->columns);
    if (status != EDGECL_OK) {
      say(reason, "canary row %u: %s: %s", row, edgecl_status_name(status), edgecl_session_error(session));
      code = kNo;
    } else if (memcmp(out, c->logits + (size_t)row * c->columns * 4, (size_t)c->columns * 4) != 0) {
      say(reason,
          "canary row %u: expected the host's outputs bit for bit; found others; use the runner of the host's "
          "version",
          row);
      code = kNo;
    }
  }
  free(out);
  return code;
}

int canary_is_correct(edgecl_session* session, const Canary* c, uint32_t row) {
  const edgecl_batch batch = canary_row(c, row);
  edgecl_prediction out;
  if (edgecl_predict(session, &batch, &out, sizeof out) != EDGECL_OK) return -1;
  return c->labels != NULL && out.label == (int32_t)number(c->labels + (size_t)row * 4, 4);
}

int64_t canary_count_correct(edgecl_session* session, const Canary* c) {
  int64_t correct = 0;
  for (uint32_t row = 0; row < c->rows; row++) {
    const int is_correct = canary_is_correct(session, c, row);
    if (is_correct < 0) return -1;
    correct += is_correct;
  }
  return correct;
}

void canary_release(Canary* c) {
  free(c->file);
  memset(c, 0, sizeof *c);
}
