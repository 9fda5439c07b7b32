// Samples with the outputs that the host's library computed for them. Results have the same bits on every machine, so a
// device that computes anything else does not run what was tested.
//
// A canary file, little-endian: "ECC1", u32 rows (1..4096), u32 dtype (EDGECL_F32 or EDGECL_U8), u32 columns (the
// bundle's class_capacity), u64 elements of a sample, u32 flags (1: labels follow), u32 zero, 32 bytes of the bundle's
// content digest; then rows samples, zero bytes up to a multiple of 4, rows x columns logits (float32) of the bundle as
// it was shipped, and rows labels (int32).
// Never here: timing.
#ifndef EDGECL_RUNTIME_RUNNER_CANARY_H_
#define EDGECL_RUNTIME_RUNNER_CANARY_H_

#include <stdint.h>

#include "checked_bundle.h"
#include "edgecl/edgecl.h"

typedef struct Canary {
  void* file;  // NULL: there is no canary
  uint32_t rows, dtype, columns;
  uint64_t elements;
  size_t sample_bytes;
  const uint8_t* samples;
  const uint8_t* logits;  // may be at any address
  const uint8_t* labels;  // NULL: none
} Canary;

// Exit codes (failures.h) with the reason.
// What `file` holds; NULL, or what is wrong. It must outlive the canary.
const char* canary_parse(const uint8_t* file, size_t n_bytes, const CheckedBundle* bundle, int own, Canary* canary);
// `own` 0: samples and labels of any bundle that takes such samples.
int canary_read(const char* path, const CheckedBundle* bundle, int own, Canary* canary, Reason* reason);
// `session`: one that has learned nothing. kNo where a bit differs.
int canary_compare(edgecl_session* session, const Canary* canary, Reason* reason);
// Whether the session predicts a row as its label says; 0 without labels; -1: it fails on the row.
int canary_is_correct(edgecl_session* session, const Canary* canary, uint32_t row);
// Rows of which it does; -1: it fails on one.
int64_t canary_count_correct(edgecl_session* session, const Canary* canary);
edgecl_batch canary_row(const Canary* canary, uint32_t row);
void canary_release(Canary* canary);

#endif
