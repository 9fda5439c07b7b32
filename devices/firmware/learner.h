/* A bundle that learns in a piece of memory: what a firmware does at its start, and the life of the example.
 * Never here: a board, flash, output. The same text runs on a host, which says what the boards must find. */
#ifndef EDGECL_FIRMWARE_LEARNER_H_
#define EDGECL_FIRMWARE_LEARNER_H_

#include <edgecl/edgecl.h>

enum { LEARNER_BATCH = 4, LEARNER_MAX_ELEMENTS = 512, LEARNER_PREDICTIONS = 4 };

typedef struct learner {
  edgecl_model* model;
  edgecl_session* session;
  edgecl_model_info info;
  uint32_t model_bytes, session_bytes; /* of the memory handed in */
  edgecl_error error;                  /* of the last failure of learner_open */
} learner;

/* Sizes first, then both objects in `memory` (64-byte aligned): nothing is allocated, now or later. The bundle stays
 * where it is, as in flash. */
edgecl_status learner_open(learner* l, const void* bundle, size_t n_bytes, void* memory, size_t memory_bytes);
void learner_close(learner* l);
/* The configuration of learner_open. */
edgecl_status learner_config(const edgecl_model* model, edgecl_session_config* config);

/* Steps from..from + n - 1 of a stream that depends on the step alone: in a product, samples of a sensor. */
edgecl_status learner_steps(learner* l, uint32_t from, uint32_t n);
/* Predictions for LEARNER_PREDICTIONS rows of that stream. */
edgecl_status learner_predict(learner* l, edgecl_prediction* predictions);

#endif /* EDGECL_FIRMWARE_LEARNER_H_ */
