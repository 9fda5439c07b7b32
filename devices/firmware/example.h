/* What the example carries: bundles in flash, and what a host found with them.
 * Never here: how it is used (example.c). */
#ifndef EDGECL_FIRMWARE_EXAMPLE_H_
#define EDGECL_FIRMWARE_EXAMPLE_H_

#include "learner.h"

/* A boot learns so many steps; after the last boot all is compared once more. */
enum { EXAMPLE_BOOTS = 3, EXAMPLE_STEPS = 4 };

typedef struct example_input {
  const char* name;
  const unsigned char* bundle; /* 64-byte aligned */
  size_t n_bytes;
  uint32_t session_bytes;             /* what the host says that this chip needs */
  uint8_t digests[EXAMPLE_BOOTS][32]; /* of the state after the steps of each boot, in one go on the host */
  edgecl_prediction predictions[LEARNER_PREDICTIONS]; /* after the last one */
} example_input;

/* Written by host_vectors.c. */
extern const example_input example_inputs[];
extern const uint32_t n_example_inputs;

#endif /* EDGECL_FIRMWARE_EXAMPLE_H_ */
