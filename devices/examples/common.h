/* What both examples do first: open a bundle and make a session for it.
 * Never here: what an example is about. */
#ifndef EDGECL_EXAMPLES_COMMON_H_
#define EDGECL_EXAMPLES_COMMON_H_

#include <edgecl/edgecl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with a sentence. */
static inline void must(const char* what, edgecl_status status, const char* sentence) {
  if (status == EDGECL_OK) return;
  fprintf(stderr, "%s: %s: %s\n", what, edgecl_status_name(status), sentence);
  exit(3);
}

static inline edgecl_model* open_model(const char* path, edgecl_model_info* info) {
  edgecl_error error;
  edgecl_model* model = NULL;
  memset(&error, 0, sizeof error);
  error.struct_size = sizeof error;
  must("open", edgecl_model_open_file(path, NULL, &model, &error), error.message);
  memset(info, 0, sizeof *info);
  info->struct_size = sizeof *info;
  must("describe", edgecl_model_describe(model, info), path);
  if (info->input_dtype != EDGECL_F32) must("open", EDGECL_E_DTYPE, "expected a bundle of float samples");
  return model;
}

/* predict_only: a session without what learning needs. */
static inline edgecl_session* make_session(edgecl_model* model, uint32_t max_batch, int predict_only) {
  edgecl_session_config config;
  edgecl_error error;
  edgecl_session* session = NULL;
  memset(&config, 0, sizeof config);
  memset(&error, 0, sizeof error);
  config.struct_size = sizeof config;
  error.struct_size = sizeof error;
  must("config", edgecl_session_config_init(model, &config), "");
  config.max_batch = max_batch;
  config.predict_only = (uint32_t)predict_only;
  config.add_unseen_labels = 1;
  must("session", edgecl_session_create(model, &config, NULL, &session, &error), error.message);
  return session;
}

static inline edgecl_batch batch_of(const float* samples, uint32_t n, uint64_t elements) {
  edgecl_batch batch;
  memset(&batch, 0, sizeof batch);
  batch.struct_size = sizeof batch;
  batch.dtype = EDGECL_F32;
  batch.n_samples = n;
  batch.data = samples;
  batch.elements_per_sample = elements;
  return batch;
}

#endif /* EDGECL_EXAMPLES_COMMON_H_ */
